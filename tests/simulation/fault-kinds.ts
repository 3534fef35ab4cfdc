import type { Random } from '../random.ts'
import type { Fleet } from './fleet.ts'
import type { Streams } from './streams.ts'
import type { World } from './world.ts'

export interface Fault {
  kind: string
  weight: number
  /** @returns false where there was nothing to break, or it tells of itself later */
  inflict: () => unknown
}

export type ServerName = 'Redis' | 'PostgreSQL'

/** Told that a server is in trouble from now on, for so long. */
type Troubled = (server: ServerName, ms: number) => void

/** Processes end, or stand still for longer than their locks. */
export function processFaults(world: World, fleet: Fleet, random: Random): Fault[] {
  /** Those that stop already are not stopped again. */
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
    { kind: 'worker killed', weight: 4, inflict: () => kill(random.pick(fleet.workers())) },
    { kind: 'worker frozen', weight: 3, inflict: freezeWorker },
    { kind: 'worker stopped', weight: 2, inflict: () => stop(pickRunning(fleet.workers())) },
    { kind: 'API killed', weight: 1, inflict: () => kill(random.pick(fleet.apis())) },
    { kind: 'API stopped', weight: 1, inflict: () => stop(pickRunning(fleet.apis())) },
  ]
}

/** Servers are cut off, hang, or are away. */
export function serverFaults(
  { redis, postgres }: World,
  random: Random,
  troubled: Troubled,
): Fault[] {
  const during = (server: ServerName, ms: number, inflict: (ms: number) => void) => {
    troubled(server, ms)
    inflict(ms)
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
    inflict: () => during(server, ...plan()),
  }))
}

/** What Redis sends by itself is lost, late or read twice. */
export function streamFaults(
  { streams }: World,
  random: Random,
  later: (run: () => void, afterMs: number) => unknown,
): Fault[] {
  function fail(part: Partial<Streams['troubles']>): void {
    Object.assign(streams.troubles, part)
    later(
      () => Object.assign(streams.troubles, { lose: 0, delay: 0, repeat: 0 }),
      random.between(300, 4000),
    )
  }
  return [
    {
      kind: 'notes and replies lost',
      weight: 4,
      inflict: () => fail({ lose: random.pick([0.3, 1]) }),
    },
    {
      kind: 'notes and replies late and twice',
      weight: 3,
      inflict: () => fail({ delay: 0.5, repeat: 0.5 }),
    },
  ]
}
