import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { dataDir } from '../../tools/dev-stack/files.mjs'
import { chosenRedis, readRedisKind } from '../stack/redis/deployment.ts'
import type { Finding } from './check/finding.ts'
import { PERSISTENCES } from './fleet/redis-host.ts'
import { type RigResult, runRig } from './rig.ts'
import { SCENARIOS } from './scenarios/index.ts'
import { isGood, worksOn } from './scenarios/scenario.ts'
import { describeEndings, describeLosses } from './summary.ts'

const USAGE = `npm run faults -- [--seconds 60] [--seed N] [--clients 24] [--persistence always] [--redis single]
                      [--pgbouncer] [--json]
npm run faults -- --scenario NAME [--scale 1] [--seed N] [--redis single] [--json]

The first form runs the whole system for some seconds while faults are injected at random, chosen by
the seed. The second form injects one kind of fault and measures how the system copes with it. Both
then check every promise. The exit code is 1 if a promise was broken or a bound was exceeded.

  --seconds N      default 60        --clients N  default 24
  --seed N         repeats the faults of an earlier run
  --persistence P  what Redis keeps: always or everysec (appendfsync), or none (appendonly no)
  --redis KIND     single, valkey, cluster (3 masters, 3 replicas), or sentinel (3 Sentinels, 1
                   master, 2 replicas). The last two get other faults: a master is killed or frozen,
                   a failover is ordered, or a slot moves
  --pgbouncer      the processes reach PostgreSQL through a PgBouncer in session mode
  --scale N        1 runs as much as docs/reliability.md reports; less is quicker and proves less
  --json           print the figures as one JSON object, on the last line

Scenarios:
${SCENARIOS.map(({ name, proves }) => `  ${name}: ${proves}`).join('\n')}`

const { values, tokens } = parseArgs({
  tokens: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string', default: '24' },
    persistence: { type: 'string', default: 'always' },
    redis: { type: 'string', default: chosenRedis() },
    pgbouncer: { type: 'boolean', default: false },
    scenario: { type: 'string' },
    scale: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** Names of the options on the command line. */
const given = new Set(tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : [])))

const MAX_FINDINGS = 20
const log = (line: string): void => console.log(line)
const seed = Number(values.seed)

if (values.help) {
  log(USAGE)
  process.exit(0)
}
// The code that starts Redis reads the kind from the environment.
process.env['TEST_REDIS'] = readRedisKind(values.redis)
const good = values.scenario === undefined ? await faults() : await scenario(values.scenario)
process.exit(good ? 0 : 1)

async function faults(): Promise<boolean> {
  const persistence = PERSISTENCES.find((one) => one === values.persistence)
  if (persistence === undefined) {
    log(USAGE)
    throw new Error(`unknown persistence "${values.persistence}"`)
  }
  const result = await runRig({
    seed,
    seconds: Number(values.seconds),
    clients: Number(values.clients),
    persistence,
    pgbouncer: values.pgbouncer,
    log,
  })
  const { summary, findings, crashes, evidence } = result
  log(describeEndings(evidence.history))
  log(describeLosses(evidence.losses))
  for (const { name, at, lastLines } of crashes)
    log(`${name} crashed at ${at}: ${lastLines.at(-1)}`)
  printFindings(findings)
  if (findings.length > 0) {
    log(`A promise was broken. The evidence is in ${keepEvidence(result)}. To repeat the faults:`)
    const pooler = values.pgbouncer ? ' --pgbouncer' : ''
    log(
      `npm run faults -- --seed ${seed} --seconds ${summary.seconds} --persistence ${persistence} --redis ${values.redis}${pooler}`,
    )
  }
  printSummary(summary)
  return findings.length === 0
}

async function scenario(name: string): Promise<boolean> {
  const wanted = SCENARIOS.find((one) => one.name === name)
  if (wanted === undefined) {
    log(USAGE)
    throw new Error(`unknown scenario "${name}"`)
  }
  if (!worksOn(wanted, chosenRedis()))
    throw new Error(`scenario ${name} cannot run with --redis ${values.redis}`)
  for (const option of ['seconds', 'clients', 'persistence', 'pgbouncer'] as const)
    if (given.has(option)) throw new Error(`--${option} cannot be used with --scenario`)
  log(wanted.proves)
  const result = await wanted.run({ seed, scale: Number(values.scale), log })
  for (const text of result.missed) log(`bound exceeded: ${text}`)
  printFindings(result.findings)
  if (!isGood(result))
    log(`To repeat it: npm run faults -- --scenario ${name} --seed ${seed} --redis ${values.redis}`)
  printSummary({
    scenario: name,
    seed,
    ...result.figures,
    missed: result.missed.length,
    broken: result.findings.length,
  })
  return isGood(result)
}

function printFindings(findings: Finding[]): void {
  for (const { promise, text } of findings.slice(0, MAX_FINDINGS)) log(`${promise}: ${text}`)
  if (findings.length > MAX_FINDINGS) log(`… and ${findings.length - MAX_FINDINGS} more`)
}

function printSummary(object: object): void {
  const words = Object.entries(object).map(([name, value]) => `${name} ${value}`)
  log(values.json ? JSON.stringify(object) : words.join(', '))
}

function keepEvidence({ evidence, ...rest }: RigResult): string {
  const folder = path.join(dataDir, 'faults')
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, `seed-${rest.summary.seed}.json`)
  const journal = Object.fromEntries(evidence.journal)
  writeFileSync(file, JSON.stringify({ ...rest, ...evidence, journal }, undefined, 1))
  return file
}
