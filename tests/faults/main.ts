import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { dataDir } from '../../scripts/lib/paths.mjs'
import type { History } from './history.ts'
import { type RigResult, runRig } from './rig.ts'

/** `npm run faults -- [--seconds 60] [--seed 7] [--clients 24] [--json]`; `--json` prints one object, last. */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string', default: '24' },
    json: { type: 'boolean', default: false },
  },
})

const FINDINGS_SHOWN = 20

const say = (line: string): void => console.log(line)
const result = await runRig({
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  clients: Number(values.clients),
  say,
})
tell(result)
process.exit(result.findings.length === 0 ? 0 : 1)

function tell({ summary, findings, crashes, ...rest }: RigResult): void {
  say(outcomes(rest.evidence.history))
  for (const { name, at, lastLines } of crashes) say(`${name} ended by itself at ${at}: ${lastLines.at(-1)}`)
  for (const { promise, text } of findings.slice(0, FINDINGS_SHOWN)) say(`${promise}: ${text}`)
  if (findings.length > FINDINGS_SHOWN) say(`… and ${findings.length - FINDINGS_SHOWN} more`)
  if (findings.length > 0) {
    const file = keepEvidence({ summary, findings, crashes, ...rest })
    say(
      `A promise was broken. What happened is in ${file}; the same plan again: npm run faults -- --seed ${summary.seed} --seconds ${summary.seconds}`,
    )
  }
  say(
    values.json
      ? JSON.stringify(summary)
      : Object.entries(summary)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
  )
}

/** How the requests ended, by status and code or by what went wrong. */
function outcomes({ commands }: History): string {
  const counts = new Map<string, number>()
  for (const { answer, failure } of commands) {
    const name =
      answer === undefined ? String(failure) : `${answer.status} ${answer.body?.code ?? answer.body?.message}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  return sorted.map(([name, count]) => `${count} × ${name}`).join(', ')
}

function keepEvidence({ evidence, ...rest }: RigResult): string {
  const folder = path.join(dataDir, 'faults')
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `seed-${rest.summary.seed}.json`)
  const journal = Object.fromEntries(evidence.journal)
  writeFileSync(file, JSON.stringify({ ...rest, ...evidence, journal }, undefined, 1))
  return file
}
