import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { dataDir } from '../../tools/dev-stack/files.mjs'
import type { Finding } from './check/finding.ts'
import { type RigResult, runRig } from './rig.ts'
import { SCENARIOS } from './scenarios/index.ts'
import { isGood } from './scenarios/scenario.ts'
import { endingsOf } from './summary.ts'

/**
 * `npm run faults -- [--seconds 60] [--seed 7] [--clients 24] [--json]`: random faults, chosen by the seed.
 * `npm run faults -- --scenario <name> [--scale 1] [--json]`: one kind of fault, with figures.
 * `--json` prints one object, last.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string', default: '24' },
    scenario: { type: 'string' },
    scale: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})

const FINDINGS_SHOWN = 20
const say = (line: string): void => console.log(line)
const seed = Number(values.seed)

const good = values.scenario === undefined ? await faults() : await scenario(values.scenario)
process.exit(good ? 0 : 1)

async function faults(): Promise<boolean> {
  const result = await runRig({
    seed,
    seconds: Number(values.seconds),
    clients: Number(values.clients),
    say,
  })
  const { summary, findings, crashes, evidence } = result
  say(endingsOf(evidence.history))
  for (const { name, at, lastLines } of crashes)
    say(`${name} ended by itself at ${at}: ${lastLines.at(-1)}`)
  tellFindings(findings)
  if (findings.length > 0) {
    say(`A promise was broken. What happened is in ${keepEvidence(result)}; the same plan again:`)
    say(`npm run faults -- --seed ${seed} --seconds ${summary.seconds}`)
  }
  tellLast(summary)
  return findings.length === 0
}

async function scenario(name: string): Promise<boolean> {
  const wanted = SCENARIOS.find((one) => one.name === name)
  if (wanted === undefined) {
    for (const { name, shows } of SCENARIOS) say(`${name}: ${shows}`)
    throw new Error(`there is no scenario "${name}"`)
  }
  say(wanted.shows)
  const result = await wanted.run({ seed, scale: Number(values.scale), say })
  for (const text of result.missed) say(`not reached: ${text}`)
  tellFindings(result.findings)
  if (!isGood(result)) say(`The same again: npm run faults -- --scenario ${name} --seed ${seed}`)
  tellLast({
    scenario: name,
    seed,
    ...result.figures,
    missed: result.missed.length,
    broken: result.findings.length,
  })
  return isGood(result)
}

function tellFindings(findings: Finding[]): void {
  for (const { promise, text } of findings.slice(0, FINDINGS_SHOWN)) say(`${promise}: ${text}`)
  if (findings.length > FINDINGS_SHOWN) say(`… and ${findings.length - FINDINGS_SHOWN} more`)
}

function tellLast(object: object): void {
  const words = Object.entries(object).map(([name, value]) => `${name} ${value}`)
  say(values.json ? JSON.stringify(object) : words.join(', '))
}

function keepEvidence({ evidence, ...rest }: RigResult): string {
  const folder = path.join(dataDir, 'faults')
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `seed-${rest.summary.seed}.json`)
  const journal = Object.fromEntries(evidence.journal)
  writeFileSync(file, JSON.stringify({ ...rest, ...evidence, journal }, undefined, 1))
  return file
}
