import { describe, expect, it } from 'vitest'
import { runRig } from './rig.ts'
import { describeLosses } from './summary.ts'

/**
 * 3 minutes in CI, 20 seconds elsewhere. `FAULTS_SECONDS` and `FAULTS_SEED` override the values.
 */
const seconds = Number(process.env['FAULTS_SECONDS'] ?? (process.env['CI'] === 'true' ? 180 : 20))
const seed = Number(process.env['FAULTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

describe('runRig', () => {
  it(
    `finds every promise kept in ${seconds} s of random faults (seed ${seed})`,
    async () => {
      const { summary, findings, crashes, evidence } = await runRig({ seed, seconds })

      console.log(JSON.stringify(summary))
      console.log(describeLosses(evidence.losses))
      expect(
        findings,
        `repeat with: npm run faults -- --seed ${seed} --seconds ${seconds}`,
      ).toEqual([])
      expect(crashes, 'processes that crashed').toEqual([])
      expect(summary.acks).toBeGreaterThan(seconds)
      expect(summary.losses).toBeGreaterThan(0)
      expect(summary.faults).toBeGreaterThan(seconds / 4)
    },
    seconds * 1000 + 300_000,
  )
})
