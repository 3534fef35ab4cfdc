import { createRandom } from '../random.ts'
import { check } from './check.ts'
import { START_MS } from './clock.ts'
import { type Injections, injectFaults } from './fault-injection.ts'
import { startFleet } from './fleet.ts'
import type { Committed } from './postgres.ts'
import { chooseSettings } from './sale-settings.ts'
import { watchSettles } from './settle-watch.ts'
import { installTimers } from './timers.ts'
import { type Sent, startTraffic, type Traffic } from './traffic.ts'
import { createWorld, type RemovedGuards, type World } from './world.ts'

export interface SimulationOptions {
  seed: number
  commands: number
  without?: RemovedGuards
}

export interface SimulationResult {
  /** Results of all requests, by kind; `nothing` if the API process died. */
  results: Record<string, number>
  /** Injected faults, by kind. */
  faults: Record<string, number>
  /** All commands in the order of their commits. */
  log: Committed[]
}

/**
 * Longest time until everything has settled after the last fault: it includes locks, the monitor,
 * the sweep, poisoned commands and the longest wait of a client.
 */
const SETTLE_MS = 120_000

/**
 * Runs the line in one process, with faults, on simulated servers, networks and time, and checks
 * every promise. The same seed gives the same run.
 * @throws Error that names the seed, the broken promise and the faults
 */
export async function simulate({
  seed,
  commands,
  without = {},
}: SimulationOptions): Promise<SimulationResult> {
  const plan = planOf(seed)
  const world = createWorld({ ...plan, seed, without })
  const removeTimers = installTimers(world.clock)
  let injections: Injections = { faults: [], disturbances: [] }
  try {
    const fleet = startFleet(world)
    const traffic = startTraffic(world, fleet.apis, {
      ...plan,
      commands,
      events: plan.starts.length,
    })
    injections = injectFaults(world, fleet, traffic, plan)
    const dueEvents = watchSettles(world, injections)
    await world.clock.run(plan.overMs)
    await untilSettled(world, traffic, dueEvents)
    if (world.bugs.length > 0) throw world.bugs[0]
    check(world, traffic.sent, plan.starts, injections)
    return {
      results: countBy(traffic.sent, ({ result }: Sent) => result?.kind ?? 'nothing'),
      faults: countBy(injections.faults, ({ kind }) => kind),
      log: world.postgres.log,
    }
  } catch (error) {
    const cause = (world.bugs[0] ?? error) as Error
    throw new Error(`seed ${seed}: ${cause.message}\n${describeFaults(injections)}`, { cause })
  } finally {
    removeTimers()
  }
}

/**
 * Waits until every client has its answer, every line is empty, no job is recorded any more, and
 * nothing is due.
 * @throws Error if that takes too long, because the system must recover by itself from every fault
 */
async function untilSettled(
  { clock, data, postgres }: World,
  { isDone }: Traffic,
  dueEvents: () => number[],
): Promise<void> {
  const isSettled = (): boolean =>
    isDone() &&
    data.withWork().length === 0 &&
    postgres.accepted.size === 0 &&
    dueEvents().length === 0
  let wasSettled = false
  for (let settledMs = 0; settledMs < SETTLE_MS; settledMs += 1000) {
    await clock.run(1000)
    // Settled twice in a row, so nothing is in flight either.
    if (wasSettled && isSettled()) return
    wasSettled = isSettled()
  }
  throw new Error(
    `${SETTLE_MS} ms after the last fault, clients still wait or are refused, something is due for the events [${dueEvents()}], ${postgres.accepted.size} jobs are recorded, or these lines have work: ${data.withWork()}`,
  )
}

/** The parameters of a seed. Moduli that rarely share factors give many combinations. */
function planOf(seed: number) {
  const sizes = Array.from(
    { length: 1 + (seed % 5) },
    (_, i) => [0, 1, 5, 40, 200][(seed + i * 3) % 5] as number,
  )
  const sale = seed % 7 >= 3 && seed % 16 !== 13
  const random = createRandom(seed).fork('settings')
  return {
    starts: sale
      ? sizes.map((totalTickets) => ({ totalTickets, settings: chooseSettings(random, START_MS) }))
      : sizes,
    /** Whether events have settings, and all commands occur. */
    sale,
    lines: seed % 3 === 0 ? 1 + (seed % 2) : 0,
    maxQueueDepth: seed % 8 === 5 ? 30 : 20_000,
    users: [8, 60, 400][seed % 3] as number,
    overMs: 4000 + (seed % 7) * 3000,
    count: seed % 11 === 0 ? 0 : 2 + (seed % 23),
    losses: [1, 3, 5, 8].includes(seed % 9),
    poison: seed % 13 === 5,
  }
}

function describeFaults({ faults }: Injections): string {
  return faults.map(({ kind, atMs }) => `  after ${atMs - START_MS} ms: ${kind}`).join('\n')
}

function countBy<T>(all: T[], kindOf: (one: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of all) counts[kindOf(one)] = (counts[kindOf(one)] ?? 0) + 1
  return counts
}
