import { Redis } from 'ioredis'
import { until } from '../../scripts/lib/net.mjs'
import { isAck } from './check/answers.ts'
import { check, type Evidence } from './check/check.ts'
import type { Broken, Finding } from './check/finding.ts'
import { readJournal } from './check/journal.ts'
import { readRows } from './check/rows.ts'
import type { Patch } from './fleet/build-copy.ts'
import { type Fleet, startFleet } from './fleet/fleet.ts'
import { createHistory, type History } from './history.ts'
import { createAmbush, startInjector } from './inflict/injector.ts'
import { type Fault, planFaults } from './inflict/plan.ts'
import { type Caller, createCaller } from './load/caller.ts'
import { startClients } from './load/clients.ts'
import { lastLook } from './load/last-look.ts'
import { createRandom, type Random } from './random.ts'

export interface RigOptions {
  seed: number
  /** How long clients act and things break. */
  seconds: number
  /** Clients that act at once. */
  clients?: number
  patches?: Patch[]
  /** Told what is going on, a line at a time. */
  say?: (line: string) => void
}

/** What a run prints last. */
export type Summary = {
  seed: number
  seconds: number
  faults: number
  requests: number
  acks: number
} & Record<Broken, number> & { slowestAckMs: number }

export interface RigResult {
  summary: Summary
  findings: Finding[]
  evidence: Evidence
  /** Faults with their times, and what the processes said last. */
  faults: { atMs: number; fault: Fault }[]
  crashes: { name: string; at: string; lastLines: string[] }[]
}

const EVENTS = 20
const SIZES = [40, 5, 0, 15, 1, 100, 3, 8]
/** How long a mended system may take to decide everything that it accepted. */
const SETTLE_WITHIN_MS = 60_000

/** Runs the system under clients and faults, and holds what happened against the promises. */
export async function runRig({
  seed,
  seconds,
  clients = 24,
  patches = [],
  say = () => {},
}: RigOptions): Promise<RigResult> {
  const random = createRandom(seed)
  const ambush = createAmbush()
  const fleet = await startFleet({ patches, treat: ambush.treat, env: { RESULT_WAIT_MS: '4000' } })
  const caller = createCaller(fleet.jwtSecret)
  try {
    await fleet.ready()
    const history = createHistory()
    await createEvents(fleet, caller, history, random)
    const entries = fleet.apis.map(({ name, url }) => ({ name, url }))
    const faults: RigResult['faults'] = []
    const plan = planFaults(random.fork('faults'), seconds * 1000)
    say(`seed ${seed}: ${plan.length} faults planned for ${seconds} s`)
    const injector = startInjector(fleet, ambush, plan, (fault, atMs) => faults.push({ atMs, fault }))
    const crowd = startClients({
      caller,
      entries,
      history,
      random: random.fork('clients'),
      count: clients,
      usersPerEvent: 60,
      maxPauseMs: 200,
    })
    const ticker = setInterval(() => say(progress(history, injector.count())), 10_000)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    await injector.stop()
    await crowd.stop()
    clearInterval(ticker)
    await settle(fleet)
    await lastLook(caller, entries, history)
    const evidence = {
      history,
      journal: await readJournal(fleet.redisFolder),
      rows: await readRows(fleet.postgres.url),
    }
    const findings = check(evidence)
    const crashes = fleet.slots.flatMap((slot) =>
      slot.crashes().map((crash) => ({ name: slot.name, ...crash })),
    )
    const summary = summarize({ seed, seconds, faults: injector.count(), history, findings })
    return { summary, findings, evidence, faults, crashes }
  } finally {
    await caller.close()
    await fleet.close()
  }
}

async function createEvents(fleet: Fleet, caller: Caller, history: History, random: Random): Promise<void> {
  const token = await caller.token('staff', 'organizer')
  for (let eventId = 1; eventId <= EVENTS; eventId++) {
    const totalTickets = eventId <= SIZES.length ? (SIZES[eventId - 1] as number) : random.between(0, 60)
    const { answer } = await caller.ask((fleet.apis[0] as Fleet['apis'][number]).url, {
      method: 'POST',
      path: '/initialize',
      token,
      body: { eventId, totalTickets },
      silentAfterMs: 10_000,
    })
    if (answer?.status !== 201) throw new Error(`event ${eventId} was not made: ${JSON.stringify(answer)}`)
    history.events.push({ eventId, totalTickets })
  }
}

/** Resolves when every process is ready and no line holds a job; a line that never empties is for the checker. */
async function settle(fleet: Fleet): Promise<void> {
  for (const slot of fleet.slots) {
    slot.redisLink.mend()
    slot.postgresLink.mend()
  }
  await fleet.ready(SETTLE_WITHIN_MS)
  const redis = new Redis(fleet.redis.url)
  const isEmpty = async (): Promise<boolean> => {
    for (const pattern of ['*:wait', '*:active']) {
      for (const key of await redis.keys(pattern)) if ((await redis.llen(key)) > 0) return false
    }
    return true
  }
  try {
    await until(isEmpty, { timeoutMs: SETTLE_WITHIN_MS, everyMs: 200 })
  } finally {
    redis.disconnect()
  }
}

function progress({ commands }: History, faults: number): string {
  const acks = commands.filter((call) => isAck(call.answer)).length
  return `${faults} faults, ${commands.length} requests, ${acks} acknowledged`
}

function summarize(run: {
  seed: number
  seconds: number
  faults: number
  history: History
  findings: Finding[]
}): Summary {
  const { seed, seconds, faults, history, findings } = run
  const acked = history.commands.filter((call) => isAck(call.answer))
  const count = (promise: Broken): number => findings.filter((finding) => finding.promise === promise).length
  return {
    seed,
    seconds,
    faults,
    requests: history.commands.length,
    acks: acked.length,
    lost: count('lost'),
    doubled: count('doubled'),
    oversold: count('oversold'),
    reordered: count('reordered'),
    wrongAnswers: count('wrongAnswers'),
    slowestAckMs: Math.round(acked.reduce((most, call) => Math.max(most, call.endedAtMs - call.sentAtMs), 0)),
  }
}
