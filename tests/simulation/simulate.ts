import { check } from './check.ts'
import { START_MS } from './clock.ts'
import { type Inflictions, inflictFaults } from './faults.ts'
import { startFleet } from './fleet.ts'
import type { Committed } from './postgres.ts'
import { installTimers } from './timers.ts'
import { letClientsSend, type Sent, type Traffic } from './traffic.ts'
import { type Broken, createWorld, type World } from './world.ts'

export interface SimulationOptions {
  seed: number
  commands: number
  broken?: Broken
}

export interface SimulationResult {
  /** What clients heard, by kind; `nothing` where their API process died. */
  heard: Record<string, number>
  /** What was broken, by kind. */
  faults: Record<string, number>
  /** Everything that was committed, in that order. */
  log: Committed[]
}

/**
 * Longest that anything may take after the last fault: locks, watch, sweep, poison, and the longest
 * wait of a client.
 */
const SETTLE_MS = 120_000

/**
 * Runs the line in one process against simulated servers, networks and time, with faults, and
 * checks every promise. The same seed gives the same run.
 * @throws Error that names the seed, the promise that was broken and the faults before it
 */
export async function simulate({
  seed,
  commands,
  broken = {},
}: SimulationOptions): Promise<SimulationResult> {
  const plan = planOf(seed)
  const world = createWorld({ ...plan, seed, broken })
  const removeTimers = installTimers(world.clock)
  let inflictions: Inflictions = { faults: [], troubles: [] }
  try {
    const fleet = startFleet(world)
    const traffic = letClientsSend(world, fleet.apis, {
      ...plan,
      commands,
      events: plan.sizes.length,
    })
    inflictions = inflictFaults(world, fleet, plan)
    await world.clock.run(plan.overMs)
    await untilSettled(world, traffic)
    if (world.bugs.length > 0) throw world.bugs[0]
    check(world, traffic.sent, plan.sizes, inflictions)
    return {
      heard: countBy(traffic.sent, ({ result }: Sent) => result?.kind ?? 'nothing'),
      faults: countBy(inflictions.faults, ({ kind }) => kind),
      log: world.postgres.log,
    }
  } catch (error) {
    const cause = (world.bugs[0] ?? error) as Error
    throw new Error(`seed ${seed}: ${cause.message}\n${tell(inflictions)}`, { cause })
  } finally {
    removeTimers()
  }
}

/**
 * @throws Error where it takes too long: whatever was broken, the system must come back by itself
 */
async function untilSettled({ clock, data }: World, { isDone }: Traffic): Promise<void> {
  const isSettled = (): boolean => isDone() && data.withWork().length === 0
  let wasSettled = false
  for (let settledMs = 0; settledMs < SETTLE_MS; settledMs += 1000) {
    await clock.run(1000)
    // Twice in a row: what was in flight has arrived.
    if (wasSettled && isSettled()) return
    wasSettled = isSettled()
  }
  throw new Error(
    `${SETTLE_MS} ms after the last fault clients still wait or are refused, or these lines have work: ${data.withWork()}`,
  )
}

/**
 * What this seed is about. Small numbers that divide each other seldom give a mix of everything.
 */
function planOf(seed: number) {
  return {
    sizes: Array.from(
      { length: 1 + (seed % 5) },
      (_, i) => [0, 1, 5, 40, 200][(seed + i * 3) % 5] as number,
    ),
    lines: seed % 3 === 0 ? 1 + (seed % 2) : 0,
    maxQueueDepth: seed % 8 === 5 ? 30 : 20_000,
    users: [8, 60, 400][seed % 3] as number,
    overMs: 4000 + (seed % 7) * 3000,
    count: seed % 11 === 0 ? 0 : 2 + (seed % 23),
    flush: seed % 6 === 2,
    poison: seed % 13 === 5,
  }
}

function tell({ faults }: Inflictions): string {
  return faults.map(({ kind, atMs }) => `  after ${atMs - START_MS} ms: ${kind}`).join('\n')
}

function countBy<T>(all: T[], kindOf: (one: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of all) counts[kindOf(one)] = (counts[kindOf(one)] ?? 0) + 1
  return counts
}
