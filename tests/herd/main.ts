/** The program of `npm run herd`. `scripts/run.mjs` builds the system and starts it. */
import { serviceSettings, withDotEnv } from '../../tools/dev-stack/settings.mjs'
import { runOps } from '../ops/run-ops.ts'
import { type PgBouncer, startPgBouncer } from '../stack/pgbouncer.ts'
import { startServers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import { compareHerds, type HerdComparison } from './baseline.ts'
import { herd, type Report } from './herd.ts'
import { type HoldReport, herdWithHolds } from './holds.ts'
import { type HerdOptions, readOptions, usage } from './options.ts'

interface Target {
  baseUrls: string[]
  jwtSecret: string
  /** Undefined if it is not known. */
  databaseUrl: string | undefined
  /** Runs `ops verify`, if this process started the system. @returns what it found broken */
  verify(): Promise<string[]>
  stop(): Promise<void>
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.stdout.isTTY)
  if (options === 'help') return console.log(usage)
  // The code that starts Redis reads the kind from the environment.
  if (options.redis !== undefined) process.env['TEST_REDIS'] = options.redis
  const log = options.json ? () => undefined : console.log
  if (options.baseline !== undefined) {
    const comparison = await compareHerds(options.baseline, options, log)
    console.log(
      options.json ? JSON.stringify(comparison, undefined, 2) : describeComparison(comparison),
    )
    process.exitCode = comparison.problems.length === 0 ? 0 : 1
    return
  }
  const given = process.env['BASE_URL']
  const target = given ? useRunningSystem(given) : await startOwnSystem(options, log)
  try {
    const progressTo = options.json ? undefined : process.stdout
    const run = { ...options, ...target, progressTo }
    const report = options.holds
      ? await herdWithHolds({ ...run, databaseUrl: databaseOf(target) })
      : await herd(run)
    report.problems.push(...(await target.verify()))
    console.log(options.json ? JSON.stringify(report, undefined, 2) : describe(report))
    process.exitCode = report.problems.length === 0 ? 0 : 1
  } finally {
    await target.stop()
  }
}

function useRunningSystem(addresses: string): Target {
  const baseUrls = addresses.split(',').map((address) => address.trim())
  const settings = serviceSettings(withDotEnv(process.env))
  const jwtSecret = settings['JWT_SECRET']
  if (!jwtSecret) throw new Error('JWT_SECRET is not set. It signs the tokens of the buyers.')
  const databaseUrl = settings['DATABASE_URL'] || undefined
  return { baseUrls, jwtSecret, databaseUrl, verify: async () => [], stop: async () => {} }
}

function databaseOf({ databaseUrl }: Target): string {
  if (databaseUrl !== undefined) return databaseUrl
  throw new Error('DATABASE_URL is not set. With --holds, the rows of the event are checked.')
}

async function startOwnSystem(options: HerdOptions, log: (line: string) => void): Promise<Target> {
  const servers = await startServers()
  let pgbouncer: PgBouncer | undefined
  const stopServers = async () => {
    await pgbouncer?.stop()
    await servers.stop()
  }
  const stopOnSignal = (stop: () => Promise<void>) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => stop().finally(() => process.exit(130)))
  }
  try {
    const { apis, workers } = options
    if (options.pgbouncer) pgbouncer = await startPgBouncer(servers.postgres.url)
    const through = pgbouncer === undefined ? '' : ', through PgBouncer'
    log(`Starting ${apis} API and ${workers} worker processes on ${servers.chosen}${through}`)
    const env = { NODE_ENV: 'production' }
    const system = await startSystem({
      servers,
      apis,
      workers,
      env,
      ...(pgbouncer !== undefined && { databaseUrlOf: pgbouncer.urlOf }),
    })
    const stop = async () => {
      await system.stop()
      await stopServers()
    }
    stopOnSignal(stop)
    const { jwtSecret, databaseUrl } = system
    const verify = async (): Promise<string[]> => {
      const { exitCode, stdout, stderr } = await runOps(['verify'], system.env)
      return exitCode === 0 ? [] : [`ops verify: ${stdout}${stderr}`]
    }
    return { baseUrls: system.apis.map((api) => api.url), jwtSecret, databaseUrl, verify, stop }
  } catch (error) {
    await stopServers()
    throw error
  }
}

const number = (value: number) => value.toLocaleString('en').padStart(9)

function describeComparison({ baseline, bookingsPerSecond, problems }: HerdComparison): string {
  const { median, low, high } = bookingsPerSecond
  const interval = `${low.toFixed(3)} to ${high.toFixed(3)}`
  return [
    `This build makes ${median.toFixed(3)} times the bookings/s of ${baseline.slice(0, 7)} (90 % interval ${interval}).`,
    ...brokenPromises(problems),
  ].join('\n')
}

function brokenPromises(problems: string[]): string[] {
  return problems.length === 0
    ? []
    : ['', 'Broken promises:', ...problems.map((problem) => `  ${problem}`)]
}

function describe(report: Report | HoldReport): string {
  return [
    '',
    ...('lapsed' in report ? figuresOfHolds(report) : figuresOf(report)),
    `latency      ${number(report.p50Ms)}   ms p50, ${report.p99Ms} ms p99`,
    ...brokenPromises(report.problems),
  ].join('\n')
}

function figuresOf(report: Report): string[] {
  return [
    `booked       ${number(report.booked)}`,
    `waiting      ${number(report.waiting)}`,
    `promoted     ${number(report.promoted)}   after ${report.canceled} cancellations`,
    `oversold     ${number(report.oversold)}`,
    `out of order ${number(report.outOfOrder)}`,
    `unanswered   ${number(report.unanswered)}`,
    `throughput   ${number(report.bookingsPerSecond)}   bookings/s (${report.buyers} in ${report.seconds} s)`,
  ]
}

function figuresOfHolds(report: HoldReport): string[] {
  return [
    `held         ${number(report.held)}`,
    `offered      ${number(report.offered)}`,
    `lapsed       ${number(report.lapsed)}   at most ${report.latestLapseS} s after the deadline`,
    `confirmed    ${number(report.confirmed)}   of ${report.tickets} tickets, after ${report.seconds} s`,
    `waiting      ${number(report.waiting)}`,
    `oversold     ${number(report.oversold)}`,
    `out of order ${number(report.outOfOrder)}`,
    `lost         ${number(report.lost)}`,
  ]
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
