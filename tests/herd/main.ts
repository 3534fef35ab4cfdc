/** The program of `npm run herd`. `scripts/run.mjs` builds the system and starts it. */
import { serviceSettings, withDotEnv } from '../../tools/dev-stack/settings.mjs'
import { startServers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import { herd, type Report } from './herd.ts'
import { type HerdOptions, readOptions, usage } from './options.ts'

interface Target {
  baseUrls: string[]
  jwtSecret: string
  stop(): Promise<void>
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') return console.log(usage)
  const log = options.json ? () => undefined : console.log
  const given = process.env['BASE_URL']
  const target = given ? useRunningSystem(given) : await startOwnSystem(options, log)
  try {
    const progressTo = options.json ? undefined : process.stdout
    const report = await herd({ ...options, ...target, progressTo })
    console.log(options.json ? JSON.stringify(report, undefined, 2) : describe(report))
    process.exitCode = report.problems.length === 0 ? 0 : 1
  } finally {
    await target.stop()
  }
}

function useRunningSystem(addresses: string): Target {
  const baseUrls = addresses.split(',').map((address) => address.trim())
  const jwtSecret = serviceSettings(withDotEnv(process.env))['JWT_SECRET']
  if (!jwtSecret) throw new Error('JWT_SECRET is not set. It signs the tokens of the buyers.')
  return { baseUrls, jwtSecret, stop: async () => {} }
}

async function startOwnSystem(options: HerdOptions, log: (line: string) => void): Promise<Target> {
  const servers = await startServers()
  const stopOnSignal = (stop: () => Promise<void>) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => stop().finally(() => process.exit(130)))
  }
  try {
    const { apis, workers } = options
    log(`Starting ${apis} API and ${workers} worker processes on ${servers.chosen}`)
    const env = { NODE_ENV: 'production' }
    const system = await startSystem({ servers, apis, workers, env })
    const stop = async () => {
      await system.stop()
      await servers.stop()
    }
    stopOnSignal(stop)
    return { baseUrls: system.apis.map((api) => api.url), jwtSecret: system.jwtSecret, stop }
  } catch (error) {
    await servers.stop()
    throw error
  }
}

function describe(report: Report): string {
  const number = (value: number) => value.toLocaleString('en').padStart(9)
  return [
    '',
    `booked       ${number(report.booked)}`,
    `waiting      ${number(report.waiting)}`,
    `promoted     ${number(report.promoted)}   after ${report.canceled} cancellations`,
    `oversold     ${number(report.oversold)}`,
    `out of order ${number(report.outOfOrder)}`,
    `unanswered   ${number(report.unanswered)}`,
    `throughput   ${number(report.bookingsPerSecond)}   bookings/s (${report.buyers} in ${report.seconds} s)`,
    `latency      ${number(report.p50Ms)}   ms p50, ${report.p99Ms} ms p99`,
    ...(report.problems.length > 0
      ? ['', 'Broken promises:', ...report.problems.map((problem) => `  ${problem}`)]
      : []),
  ].join('\n')
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
