import { setTimeout as sleep } from 'node:timers/promises'
import { every } from '@ticket-line/shared'
import { runOps } from '../ops/run-ops.ts'
import { createRandom } from '../random.ts'
import { chosenRedis } from '../stack/redis/deployment.ts'
import { isAcknowledged } from './check/answers.ts'
import { check, type Evidence } from './check/check.ts'
import type { Finding, Report } from './check/finding.ts'
import type { Mutation } from './fleet/mutation.ts'
import type { Persistence } from './fleet/redis-host.ts'
import type { EventSettings } from './history.ts'
import { createArmedFaults, startInjector } from './injection/injector.ts'
import { type Fault, type PlannedFault, planFaults } from './injection/plan.ts'
import { startRandomClients } from './load/random-clients.ts'
import {
  addReceiver,
  checkDeliveries,
  readLastChanges,
  type SubscribedReceiver,
  waitUntilDelivered,
} from './receivers.ts'
import { type Summary, summarize } from './summary.ts'
import { openTestbed, type Testbed } from './testbed.ts'

export interface RigOptions {
  seed: number
  /** How long requests are sent and faults are injected. */
  seconds: number
  /** Number of clients. */
  clients?: number
  mutations?: Mutation[]
  /** What Redis keeps. Default: `always`. */
  persistence?: Persistence
  /** True to put a PgBouncer in session mode in front of PostgreSQL. */
  pgbouncer?: boolean
  /** Number of notifiers. Without any, nobody gets webhooks. */
  notifiers?: number
  /** The faults and their times. Default: chosen at random, by the seed. */
  plan?: PlannedFault[]
  /** Called with each line of progress. */
  log?: (line: string) => void
}

export interface RigResult {
  summary: Summary
  findings: Finding[]
  evidence: Evidence
  /** The faults that were injected. */
  faults: { atMs: number; fault: Fault }[]
  /** Processes that ended without a request to do so, with the last lines of their logs. */
  crashes: { name: string; at: string; lastLines: string[] }[]
}

const EVENTS = 20
const SIZES = [40, 5, 0, 15, 1, 100, 3, 8]
/** Events with holds. The first events get most requests. */
const HOLDS: Record<number, EventSettings> = {
  2: { holdSeconds: 5 },
  4: { holdSeconds: 6, offerSeconds: 5, maxWaiting: 20 },
  8: { offerSeconds: 5 },
  11: { holdSeconds: 5, maxHoldSeconds: 20 },
  14: { holdSeconds: 5 },
}
const CANCELABLE = [14]

/** Runs the system under load and faults, and checks every promise afterwards. */
export async function runRig(options: RigOptions): Promise<RigResult> {
  const { seed, seconds, clients = 24, mutations = [], notifiers = 2, log = () => {} } = options
  const { persistence = 'always', pgbouncer = false } = options
  const random = createRandom(seed)
  const armedFaults = createArmedFaults()
  const testbed = await openTestbed({
    notifiers,
    mutations,
    persistence,
    pgbouncer,
    intervene: armedFaults.intervene,
    env: { RESULT_WAIT_MS: '4000' },
  })
  const receivers: SubscribedReceiver[] = []
  try {
    const eventIds = Array.from({ length: EVENTS }, (_, i) => i + 1)
    for (const format of notifiers > 0 ? (['single', 'batch'] as const) : [])
      receivers.push(await addReceiver(testbed, { format, eventIds }))
    for (const eventId of eventIds)
      await testbed.createEvent(
        eventId,
        SIZES[eventId - 1] ?? random.between(0, 60),
        HOLDS[eventId],
      )
    const faults: RigResult['faults'] = []
    const plan = options.plan ?? planFaults(random.fork('faults'), seconds * 1000, chosenRedis())
    log(`seed ${seed}: ${plan.length} faults planned for ${seconds} s`)
    const injector = startInjector(testbed.fleet, armedFaults, plan, (fault, atMs) =>
      faults.push({ atMs, fault }),
    )
    const load = startRandomClients({
      ...testbed,
      random: random.fork('clients'),
      count: clients,
      usersPerEvent: 60,
      maxPauseMs: 200,
      cancelable: CANCELABLE,
    })
    const ticker = every(10_000, () => log(progress(testbed, injector.count())), {
      onError: () => undefined,
    })
    await sleep(seconds * 1000)
    await injector.stop()
    await load.stop()
    await ticker.stop()
    const evidence = await testbed.collectEvidence()
    const findings = check(evidence)
    if (receivers.length > 0) findings.push(...(await checkReceivers(testbed, receivers)))
    findings.push(...(await verifyByOps(testbed)))
    const crashes = testbed.fleet.slots.flatMap(({ name, crashes }) =>
      crashes().map((crash) => ({ name, ...crash })),
    )
    const summary = summarize({
      seed,
      seconds,
      faults: injector.count(),
      losses: testbed.fleet.losses,
      history: testbed.history,
      findings,
    })
    return { summary, findings, evidence, faults, crashes }
  } finally {
    await testbed.close()
    for (const { receiver } of receivers) await receiver.close()
  }
}

/** Runs `ops verify`, which checks the same promises in another way. */
async function verifyByOps({ fleet }: Testbed): Promise<Finding[]> {
  const env = { ...fleet.env, ...(await fleet.addresses()) }
  const { exitCode, stdout, stderr } = await runOps(['verify'], env)
  return exitCode === 0 ? [] : [{ promise: 'wrongAnswers', text: `ops verify: ${stdout}${stderr}` }]
}

/** Waits until everything is delivered, and checks what the receivers got. */
async function checkReceivers(
  { fleet }: Testbed,
  receivers: SubscribedReceiver[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  const report: Report = (promise, text) => findings.push({ promise, text })
  const behind = await waitUntilDelivered(fleet)
  if (behind > 0) report('lost', `${behind} cursors of webhooks are behind`)
  const lastChanges = await readLastChanges(fleet)
  for (const each of receivers) checkDeliveries(each, lastChanges, report)
  return findings
}

function progress({ history: { commands } }: Testbed, faults: number): string {
  const acks = commands.filter((call) => isAcknowledged(call.answer)).length
  return `${faults} faults, ${commands.length} requests, ${acks} acknowledged`
}
