import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom } from '../random.ts'
import { isAck } from './check/answers.ts'
import { check, type Evidence } from './check/check.ts'
import type { Finding } from './check/finding.ts'
import type { Patch } from './fleet/build-copy.ts'
import { createAmbush, startInjector } from './injection/injector.ts'
import { type Fault, type PlannedFault, planFaults } from './injection/plan.ts'
import { startClients } from './load/random-clients.ts'
import { type Summary, summarize } from './summary.ts'
import { openStage, type Stage } from './testbed.ts'

export interface RigOptions {
  seed: number
  /** How long clients act and things break. */
  seconds: number
  /** Clients that act at once. */
  clients?: number
  patches?: Patch[]
  /** What breaks when; default chosen by the seed. */
  plan?: PlannedFault[]
  /** Told what is going on, a line at a time. */
  say?: (line: string) => void
}

export interface RigResult {
  summary: Summary
  findings: Finding[]
  evidence: Evidence
  /** Faults with their times, and processes that ended by themselves with what they said last. */
  faults: { atMs: number; fault: Fault }[]
  crashes: { name: string; at: string; lastLines: string[] }[]
}

const EVENTS = 20
const SIZES = [40, 5, 0, 15, 1, 100, 3, 8]

/** Runs the system under clients and faults, and holds what happened against the promises. */
export async function runRig(options: RigOptions): Promise<RigResult> {
  const { seed, seconds, clients = 24, patches = [], say = () => {} } = options
  const random = createRandom(seed)
  const ambush = createAmbush()
  const stage = await openStage({
    patches,
    intervene: ambush.intervene,
    env: { RESULT_WAIT_MS: '4000' },
  })
  try {
    for (let eventId = 1; eventId <= EVENTS; eventId++)
      await stage.createEvent(eventId, SIZES[eventId - 1] ?? random.between(0, 60))
    const faults: RigResult['faults'] = []
    const plan = options.plan ?? planFaults(random.fork('faults'), seconds * 1000)
    say(`seed ${seed}: ${plan.length} faults planned for ${seconds} s`)
    const injector = startInjector(stage.fleet, ambush, plan, (fault, atMs) =>
      faults.push({ atMs, fault }),
    )
    const crowd = startClients({
      ...stage,
      random: random.fork('clients'),
      count: clients,
      usersPerEvent: 60,
      maxPauseMs: 200,
    })
    const ticker = setInterval(() => say(progress(stage, injector.count())), 10_000)
    await sleep(seconds * 1000)
    await injector.stop()
    await crowd.stop()
    clearInterval(ticker)
    const evidence = await stage.conclude()
    const findings = check(evidence)
    const crashes = stage.fleet.slots.flatMap(({ name, crashes }) =>
      crashes().map((crash) => ({ name, ...crash })),
    )
    const summary = summarize({
      seed,
      seconds,
      faults: injector.count(),
      history: stage.history,
      findings,
    })
    return { summary, findings, evidence, faults, crashes }
  } finally {
    await stage.close()
  }
}

function progress({ history: { commands } }: Stage, faults: number): string {
  const acks = commands.filter((call) => isAck(call.answer)).length
  return `${faults} faults, ${commands.length} requests, ${acks} acknowledged`
}
