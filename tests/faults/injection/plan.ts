import type { Intervention } from '../../proxy/link.ts'
import { MOMENTS, type Moment } from '../../proxy/moments.ts'
import type { Random } from '../../random.ts'
import { isReplicated, type RedisKind, type ReplicatedRedis } from '../../stack/redis/deployment.ts'
import { LOSSES, type Loss } from '../fleet/redis-host.ts'
import { MASTER_FAULTS, type MasterFault } from './master-faults.ts'
import { REFUSALS, type RefusalKind } from './redis-refusals.ts'
import { SQL_FAULTS, type SqlFault } from './sql-faults.ts'

/** The processes of a fleet, as the kinds of faults name them. */
export type FaultyProcess = 'api' | 'worker' | 'notifier'

/** A fault. `index` chooses a process among those of its kind. */
export type Fault =
  | { kind: `${'kill' | 'terminate'}-${FaultyProcess}`; index: number }
  | { kind: `freeze-${FaultyProcess}`; index: number; ms: number }
  | { kind: 'kill-redis' | 'kill-postgres' }
  | { kind: 'lose-redis'; loss: Loss; lagMs: number }
  | { kind: 'disturb-master'; how: MasterFault; index: number }
  | { kind: 'cut-link'; index: number; server: 'redis' | 'postgres' }
  | { kind: 'sever-link' | 'hold-link'; index: number; server: 'redis' | 'postgres'; ms: number }
  | { kind: 'client-kill'; index: number }
  | { kind: 'refuse-writes'; refusal: RefusalKind; ms: number }
  | { kind: 'break-sql'; fault: SqlFault; ms: number }
  | { kind: 'step-clock'; index: number; offsetMs: number }
  | { kind: 'stop-clock'; index: number; ms: number }
  | { kind: 'moment'; moment: Moment; intervention: Intervention }

export interface PlannedFault {
  /** Milliseconds after the first request. */
  atMs: number
  fault: Fault
}

const HOUR_MS = 3_600_000
/**
 * Some faults have no effect, for example a fault of a frozen process. With this gap, about 1,000
 * faults take effect in 15 minutes.
 */
const MEAN_GAP_MS = 740
/** In each interval of this length, Redis loses data once. */
const LOSS_EVERY_MS = 6000
/** In each interval of this length, a Redis with replicas gets a fault of a master. */
const MASTER_FAULT_EVERY_MS = 12_000

/** Chooses faults and their times. The same seed gives the same plan for the same Redis. */
export function planFaults(random: Random, forMs: number, redis: RedisKind): PlannedFault[] {
  const losses = random.fork('losses')
  const plan = isReplicated(redis)
    ? planMasterFaults(losses, forMs, redis)
    : planLosses(losses, forMs)
  for (let atMs = gapMs(random); atMs < forMs; atMs += gapMs(random)) {
    const fault = chooseFault(random)
    if (!isReplicated(redis) || !needsOneRedis(fault)) plan.push({ atMs, fault })
  }
  return plan
}

function planLosses(random: Random, forMs: number): PlannedFault[] {
  return planInTurn(random, forMs, LOSS_EVERY_MS, LOSSES, (loss) => {
    return { kind: 'lose-redis', loss, lagMs: random.between(20, 1500) }
  })
}

function planMasterFaults(
  random: Random,
  forMs: number,
  redis: ReplicatedRedis['kind'],
): PlannedFault[] {
  return planInTurn(random, forMs, MASTER_FAULT_EVERY_MS, MASTER_FAULTS[redis], (how) => {
    return { kind: 'disturb-master', how, index: random.between(0, 1000) }
  })
}

/**
 * Plans one fault for each interval. Each choice comes once before any comes again, so that a short
 * run has several of them.
 */
function planInTurn<T>(
  random: Random,
  forMs: number,
  everyMs: number,
  choices: readonly T[],
  toFault: (choice: T) => Fault,
): PlannedFault[] {
  const plan: PlannedFault[] = []
  const left: T[] = []
  for (let fromMs = 0; fromMs + everyMs <= forMs; fromMs += everyMs) {
    if (left.length === 0) left.push(...choices)
    const [choice] = left.splice(random.between(0, left.length - 1), 1) as [T]
    const atMs = fromMs + random.between(0, everyMs)
    plan.push({ atMs, fault: toFault(choice) })
  }
  return plan
}

/** True for a fault of a single Redis, or of the proxies that only a single Redis has. */
function needsOneRedis(fault: Fault): boolean {
  switch (fault.kind) {
    case 'kill-redis':
    case 'refuse-writes':
      return true
    case 'cut-link':
    case 'sever-link':
    case 'hold-link':
      return fault.server === 'redis'
    case 'moment':
      return fault.moment !== 'commit'
    default:
      return false
  }
}

/** Exponentially distributed, so that some faults overlap and some pauses are long. */
function gapMs(random: Random): number {
  return Math.round(-Math.log(1 - random.next()) * MEAN_GAP_MS)
}

function chooseFault(random: Random): Fault {
  const index = random.between(0, 1000)
  const server = random.pick(['redis', 'postgres'] as const)
  return random.weighted<() => Fault>([
    [5, () => ({ kind: 'kill-api', index })],
    [10, () => ({ kind: 'kill-worker', index })],
    [3, () => ({ kind: 'terminate-api', index })],
    [5, () => ({ kind: 'terminate-worker', index })],
    // A job lock lasts 1.5 s and an idle transaction 3 s. Some freezes are shorter than both, some
    // lie between the two, and some are longer than both.
    [4, () => ({ kind: 'freeze-api', index, ms: random.between(500, 4000) })],
    [9, () => ({ kind: 'freeze-worker', index, ms: random.between(1000, 6000) })],
    [4, () => ({ kind: 'kill-notifier', index })],
    [2, () => ({ kind: 'terminate-notifier', index })],
    // A notifier owns a cursor for 20 s.
    [3, () => ({ kind: 'freeze-notifier', index, ms: random.between(1000, 6000) })],
    [4, () => ({ kind: 'kill-redis' })],
    [4, () => ({ kind: 'kill-postgres' })],
    [5, () => ({ kind: 'cut-link', index, server })],
    [4, () => ({ kind: 'sever-link', index, server, ms: random.between(200, 3000) })],
    [4, () => ({ kind: 'hold-link', index, server, ms: random.between(200, 4000) })],
    [6, () => ({ kind: 'client-kill', index })],
    [
      3,
      () => ({
        kind: 'refuse-writes',
        refusal: random.pick(REFUSALS),
        ms: random.between(200, 4000),
      }),
    ],
    [
      3,
      () => ({ kind: 'break-sql', fault: random.pick(SQL_FAULTS), ms: random.between(200, 3000) }),
    ],
    [2, () => ({ kind: 'step-clock', index, offsetMs: random.between(-HOUR_MS, HOUR_MS) })],
    [1, () => ({ kind: 'stop-clock', index, ms: random.between(1000, 6000) })],
    [
      34,
      () => ({
        kind: 'moment',
        moment: random.pick(MOMENTS),
        intervention: chooseIntervention(random),
      }),
    ],
  ])()
}

function chooseIntervention(random: Random): Intervention {
  return random.weighted<Intervention>([
    [2, { kind: 'cut-before' }],
    [5, { kind: 'cut-after' }],
    [3, { kind: 'delay', ms: random.between(100, 3000) }],
    [3, { kind: 'late', ms: random.between(50, 3000) }],
    [2, { kind: 'stall', ms: random.between(100, 4000) }],
  ])
}
