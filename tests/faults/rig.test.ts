import { describe, expect, it } from 'vitest'
import { runRig } from './rig.ts'

/** A 3-minute version of the rig in CI; shorter where somebody waits for it. `FAULTS_SECONDS` and `FAULTS_SEED` choose. */
const seconds = Number(process.env['FAULTS_SECONDS'] ?? (process.env['CI'] === 'true' ? 180 : 20))
const seed = Number(process.env['FAULTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

describe('the whole system under faults', () => {
  it(
    `keeps its promises for ${seconds} s (seed ${seed})`,
    async () => {
      const { summary, findings, crashes } = await runRig({ seed, seconds })

      console.log(JSON.stringify(summary))
      expect(
        findings,
        `repeat with: npm run faults -- --seed ${seed} --seconds ${seconds}`,
      ).toEqual([])
      expect(crashes, 'no process ends by itself').toEqual([])
      expect(summary.acks).toBeGreaterThan(seconds)
      expect(summary.faults).toBeGreaterThan(seconds / 4)
    },
    seconds * 1000 + 300_000,
  )
})
