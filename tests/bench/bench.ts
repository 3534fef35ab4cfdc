/** `npm run bench`. See docs/benchmarks/README.md. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Servers, startServers } from '../stack/servers.ts'
import { compareWithBaseline } from './baseline.ts'
import { measureBullmqAlone } from './bullmq-alone.ts'
import { measureClaimReads, measureClaims } from './claims.ts'
import { measureDue } from './due.ts'
import { measureDueEvents } from './due-events.ts'
import { measureEta } from './eta.ts'
import { growths } from './growth.ts'
import { measureHolds } from './holds.ts'
import { measureKeys } from './keys.ts'
import { measureLapses } from './lapses.ts'
import { measureLostRedis } from './lost-redis.ts'
import { setAppendfsync } from './measure/appendfsync.ts'
import { pinToCores } from './measure/cores.ts'
import { profiledEnv } from './measure/profiler.ts'
import { startTraceSink } from './measure/trace-sink.ts'
import { measureOneKey } from './one-key.ts'
import { type BenchOptions, readOptions, usage } from './options.ts'
import { measurePages } from './pages.ts'
import { measurePaint } from './paint.ts'
import { summarizeProfiles } from './profiles.ts'
import { RESULTS_PAGE, writeReport } from './report/report.ts'
import { writeSummary } from './report/summary.ts'
import { describeGrowth, describeResult, describeRun, redisLines, short } from './report/text.ts'
import { type Result, runWorkload } from './rounds.ts'
import { measureScaling } from './scaling.ts'
import { measureStreams } from './streams.ts'
import { runSuite } from './suite.ts'
import { measureWebhooks } from './webhooks.ts'
import { appendfsyncWorkload, comparedNames, comparedWorkload } from './workloads.ts'

/** This workload measures BullMQ without any of the systems. */
const BULLMQ_ALONE = 'bullmq-alone'
/** This workload compares `etaSeconds` with the real waits. */
const ETA = 'eta'
/** These workloads measure one deployment instead of rounds of several. */
const OF_ONE_DEPLOYMENT: Record<string, { title: string; measure: typeof measureDue }> = {
  due: {
    title: 'bookings of one event while 10,000 holds or promotions of another come due',
    measure: measureDue,
  },
  'due-events': {
    title: '10,000 events that come due in the same instant',
    measure: measureDueEvents,
  },
  claims: {
    title: 'commands in events with a thousand and a million claims',
    measure: measureClaims,
  },
  'claim-reads': {
    title: 'lists, the change feed and positions in events with a thousand and a million claims',
    measure: measureClaimReads,
  },
  holds: { title: 'one hot event whose tickets are held and confirmed', measure: measureHolds },
  lapses: {
    title: 'holds that expire at a rate of a million in ten minutes',
    measure: measureLapses,
  },
  'lost-redis': {
    title: '10,000 accepted commands in 100 lines, and a Redis that has lost them',
    measure: measureLostRedis,
  },
  keys: { title: 'one hot event, booked with tokens or with an API key', measure: measureKeys },
  'one-key': {
    title: '100,000 bookings with one API key for 10,000 users',
    measure: measureOneKey,
  },
  paint: {
    title: 'pages at 150 ms round trip and 1.6 Mbit/s, with an empty cache',
    measure: measurePaint,
  },
}
/** These workloads keep many streams open. */
const OF_STREAMS: Record<string, { title: string; measure: typeof measureStreams }> = {
  streams: { title: 'server-sent events', measure: measureStreams },
  pages: { title: 'one hot event whose page 1,000 people have open', measure: measurePages },
}
/** This workload measures deliveries of webhooks. */
const WEBHOOKS = 'webhooks'
/** This workload compares ways to run the product. */
const SCALING = 'scaling'

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    const names = [
      ...comparedNames,
      ...Object.keys(growths),
      ...Object.keys(OF_ONE_DEPLOYMENT),
      ETA,
      ...Object.keys(OF_STREAMS),
      WEBHOOKS,
      SCALING,
      BULLMQ_ALONE,
    ]
    return say(`${usage}\n\nWorkloads: ${names.join(', ')}`)
  }
  const options = readOptions(args)
  const cores = pinToCores(options.cores)
  const servers = await startServers()
  // The sink uses a fixed port, so it runs only for the workload that sends traces.
  const traced =
    options.workload === 'tracing' || (options.workload ?? options.baseline) === undefined
  const stopSink = traced ? await startTraceSink() : undefined
  const stop = (): void => void servers.stop().finally(() => process.exit(130))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    const { appendfsync } = options
    if (appendfsync !== 'both') await setAppendfsync(servers.redis, appendfsync)
    else if (!servers.redis.ours) throw new Error('--appendfsync both needs a Redis of its own')
    say(`${servers.chosen}; ${cores}${servers.redis.ours ? `; appendfsync ${appendfsync}` : ''}`)
    if (options.baseline !== undefined) {
      const { baseline, ...others } = options
      await compareWithBaseline(baseline, { ...others, servers, say })
    } else if (options.workload === undefined) await benchAll(servers, options, cores)
    else await benchOne(servers, options, cores)
  } finally {
    stopSink?.()
    await servers.stop()
  }
}

async function benchAll(servers: Servers, options: BenchOptions, cores: string): Promise<void> {
  const machine = { cores, servers: servers.chosen }
  const results = await runSuite({
    ...options,
    servers,
    say,
    // Write after each workload, so that an interrupted run keeps what it has measured.
    onMeasured: (measured) => writeReport(measured, machine),
  })
  say(`Written to ${RESULTS_PAGE}`)
  if (options.out !== undefined) writeFileSync(options.out, JSON.stringify(results, undefined, 2))
  const measured = [...results.compared, ...results.growth].flatMap(
    ({ result }) => result.contenders,
  )
  const wrong = measured.some(({ figures }) => !figures.correct)
  if (wrong || results.failed.length > 0) process.exitCode = 1
  const compared = results.compared.map(({ result }) => result)
  say(writeSummary(compared, machine))
}

async function benchOne(servers: Servers, options: BenchOptions, cores: string): Promise<void> {
  const name = options.workload as string
  if (options.appendfsync === 'both' && !comparedNames.includes(name))
    throw new Error(`--appendfsync both takes one of the workloads ${comparedNames.join(', ')}`)
  if (name === BULLMQ_ALONE) return benchBullmqAlone(servers, options)
  const ofOne = OF_ONE_DEPLOYMENT[name]
  if (ofOne !== undefined) {
    say(`${ofOne.title}:`)
    if (!(await ofOne.measure(servers, options.settings, say))) process.exitCode = 1
    return
  }
  if (name === ETA) {
    say('estimated and real waits in a line of 100,000 commands:')
    if (!(await measureEta(servers, options.rounds, options.settings, say))) process.exitCode = 1
    return
  }
  const ofStreams = OF_STREAMS[name]
  if (ofStreams !== undefined) {
    say(`${ofStreams.title}:`)
    return benchStreams(servers, options, ofStreams.measure)
  }
  if (name === WEBHOOKS) {
    say('webhooks:')
    const { rounds, settings } = options
    if (!(await measureWebhooks({ servers, settings, rounds, say }))) process.exitCode = 1
    return
  }
  if (name === SCALING) {
    const machine = { cores, servers: servers.chosen }
    if (!(await measureScaling({ ...options, servers, machine, say }))) process.exitCode = 1
    return
  }
  const profiles = options.cpuProf ? createProfileFolder() : undefined
  const settings = { ...options.settings }
  if (profiles !== undefined) {
    settings.productEnv = { ...settings.productEnv, ...profiledEnv }
  }
  const growth = growths[name]
  const compared = options.appendfsync === 'both' ? appendfsyncWorkload : comparedWorkload
  const workload = growth?.workload(settings) ?? compared(name, settings)
  say(`${workload.title}:`)
  const result = await runWorkload(workload, {
    servers,
    rounds: options.rounds,
    ...(profiles !== undefined && { profileFolder: profiles }),
    onRun: (round, contender, run) => say(describeRun(round, contender, run)),
  })
  say(growth === undefined ? describeResult(result) : describeGrowth(growth, result))
  if (options.redisStats) say(redisLines(result))
  if (profiles !== undefined) say(`Profiles in ${profiles}\n${summarizeProfiles(profiles)}`)
  if (options.out !== undefined) writeFileSync(options.out, JSON.stringify(result, undefined, 2))
  if (options.json) say(JSON.stringify(summary(result)))
  if (result.contenders.some(({ figures }) => !figures.correct)) process.exitCode = 1
}

async function benchStreams(
  servers: Servers,
  { settings, rounds, cpuProf }: BenchOptions,
  measure: typeof measureStreams,
): Promise<void> {
  const profileFolder = cpuProf ? createProfileFolder() : undefined
  const productEnv = { ...settings.productEnv, ...(cpuProf && profiledEnv) }
  const isReached = await measure({
    servers,
    settings: { ...settings, productEnv },
    rounds,
    ...(profileFolder !== undefined && { profileFolder }),
    say,
  })
  if (profileFolder !== undefined)
    say(`Profiles in ${profileFolder}\n${summarizeProfiles(profileFolder)}`)
  if (!isReached) process.exitCode = 1
}

const createProfileFolder = (): string => mkdtempSync(path.join(tmpdir(), 'ticket-line-profiles-'))

async function benchBullmqAlone(
  { redis }: Servers,
  { rounds, settings }: BenchOptions,
): Promise<void> {
  const rate = typeof settings.rate === 'number' ? settings.rate : 200
  say(`Jobs through BullMQ alone, ${rate}/s:`)
  for (let round = 1; round <= rounds; round++) {
    const { p50Ms, p99Ms } = await measureBullmqAlone(redis.url, rate)
    say(`  ${round} p50 ${short(p50Ms)}  p99 ${short(p99Ms)} ms`)
  }
}

/** The object that `--json` prints. */
function summary({ workload, contenders }: Result) {
  return {
    workload: workload.name,
    connections: contenders[0]?.contender.task.connections,
    systems: Object.fromEntries(
      contenders.map(({ contender, figures }) => {
        const { bookingsPerSecond, p50Ms, p99Ms, cpuMsPerBooking, correct } = figures
        return [contender.label, { bookingsPerSecond, p50Ms, p99Ms, cpuMsPerBooking, correct }]
      }),
    ),
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  process.exitCode = 1
})
