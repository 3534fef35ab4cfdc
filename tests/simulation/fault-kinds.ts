import type { Random } from '../random.ts'
import type { Fleet } from './fleet.ts'
import type { Streams } from './streams.ts'
import type { World } from './world.ts'

export interface Fault {
  kind: string
  weight: number
  /**
   * Called when the fault is due.
   * @returns false if nothing happened, or if the fault records itself later
   */
  inject: () => unknown
}

export type ServerName = 'Redis' | 'PostgreSQL'

/** Called when a server is disturbed for `ms` milliseconds from now on. */
type OnDisturbance = (server: ServerName, ms: number) => void

/** Faults of processes: they end, or freeze for longer than their locks. */
export function processFaults(world: World, fleet: Fleet, random: Random): Fault[] {
  /** Processes that are stopping. They are not stopped again. */
  const stopped = new Set<object>()
  function pickRunning<T extends object>(processes: T[]): T | undefined {
    return random.pick(processes.filter((one) => !stopped.has(one)))
  }
  function stop(one: { stop(): void } | undefined): unknown {
    if (one === undefined) return false
    stopped.add(one)
    return one.stop()
  }
  function kill(one: ReturnType<Fleet['workers' | 'apis']>[number] | undefined): unknown {
    return one === undefined ? false : world.kill(one.process)
  }
  function freezeWorker(): unknown {
    const worker = pickRunning(fleet.workers())
    if (worker === undefined) return false
    worker.process.frozenUntilMs = world.clock.now() + random.between(200, 6000)
    return true
  }
  return [
    { kind: 'worker killed', weight: 4, inject: () => kill(random.pick(fleet.workers())) },
    { kind: 'worker frozen', weight: 3, inject: freezeWorker },
    { kind: 'worker stopped', weight: 2, inject: () => stop(pickRunning(fleet.workers())) },
    { kind: 'API killed', weight: 1, inject: () => kill(random.pick(fleet.apis())) },
    { kind: 'API stopped', weight: 1, inject: () => stop(pickRunning(fleet.apis())) },
  ]
}

/** Faults of servers: their connections are cut, they freeze, or they are away. */
export function serverFaults(
  { redis, postgres }: World,
  random: Random,
  onDisturbance: OnDisturbance,
): Fault[] {
  const during = (server: ServerName, ms: number, inject: (ms: number) => void) => {
    onDisturbance(server, ms)
    inject(ms)
  }
  const cutRedis = (): void => redis.cut(random.pick([0.3, 1]))
  const cutPostgres = (): void => postgres.cut(random.pick([0.2, 0.6, 1]))
  const faults: [
    kind: string,
    weight: number,
    server: ServerName,
    () => [ms: number, (ms: number) => void],
  ][] = [
    ['Redis connections cut', 4, 'Redis', () => [200, cutRedis]],
    ['Redis frozen', 2, 'Redis', () => [random.between(50, 1500), redis.freeze]],
    ['Redis away', 2, 'Redis', () => [random.between(100, 2500), redis.goDown]],
    ['PostgreSQL connections cut', 4, 'PostgreSQL', () => [200, cutPostgres]],
    ['PostgreSQL frozen', 2, 'PostgreSQL', () => [random.between(50, 2500), postgres.freeze]],
    ['PostgreSQL away', 2, 'PostgreSQL', () => [random.between(100, 2500), postgres.goDown]],
  ]
  return faults.map(([kind, weight, server, plan]) => ({
    kind,
    weight,
    inject: () => during(server, ...plan()),
  }))
}

/** The clock of PostgreSQL stops or is set, which an operator or a virtual machine may do. */
export function clockFaults({ postgres }: World, random: Random): Fault[] {
  const stop = (): void => postgres.stopClock(random.between(500, 5000))
  // The last one is long enough that a hold that lapsed can no longer be confirmed.
  const step = (): void =>
    postgres.stepClock(random.pick([-5000, -500, -10, 10, 1000, 8000, 25 * 3_600_000]))
  return [
    { kind: 'PostgreSQL clock stopped', weight: 2, inject: stop },
    { kind: 'PostgreSQL clock set', weight: 2, inject: step },
  ]
}

/** Faults of the streams: entries are lost, late or delivered twice. */
export function streamFaults(
  { streams }: World,
  random: Random,
  later: (run: () => void, afterMs: number) => unknown,
): Fault[] {
  function disturb(part: Partial<Streams['faults']>): void {
    Object.assign(streams.faults, part)
    later(
      () => Object.assign(streams.faults, { lose: 0, delay: 0, repeat: 0 }),
      random.between(300, 4000),
    )
  }
  return [
    {
      kind: 'wake-ups and replies lost',
      weight: 4,
      inject: () => disturb({ lose: random.pick([0.3, 1]) }),
    },
    {
      kind: 'wake-ups and replies late and twice',
      weight: 3,
      inject: () => disturb({ delay: 0.5, repeat: 0.5 }),
    },
  ]
}
