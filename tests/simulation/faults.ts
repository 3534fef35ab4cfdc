import type { Random } from '../faults/random.ts'
import { createProcess } from './clock.ts'
import type { Fleet } from './fleet.ts'
import type { Streams } from './streams.ts'
import { type Moment, PLACES, type Place } from './traps.ts'
import type { World } from './world.ts'

export interface FaultPlan {
  count: number
  overMs: number
  /** Redis may forget everything. */
  flush: boolean
}

/** What was broken, and when. */
export interface Inflicted {
  kind: string
  atMs: number
}

/** What became of the plan so far. */
export interface Inflictions {
  faults: Inflicted[]
  /** When a server was in trouble for its clients. */
  troubles: Trouble[]
}

export interface Trouble {
  of: ServerName
  fromMs: number
  untilMs: number
}

export type ServerName = 'Redis' | 'PostgreSQL'

interface Fault {
  kind: string
  weight: number
  /** @returns false where there was nothing to break */
  inflict: () => unknown
}

/** Told that a server is in trouble from now on, for so long. */
type Troubled = (server: ServerName, ms: number) => void

/** How long a server's clients take to be well again. */
const RECOVERY_MS = 1000
const CUTS: (readonly [Place, Moment])[] = PLACES.flatMap((place) => [
  [place, 'before'],
  [place, 'after'],
])

/** Breaks things at random moments. */
export function inflictFaults(world: World, fleet: Fleet, plan: FaultPlan): Inflictions {
  const { clock } = world
  const random = world.random.fork('faults')
  const fate = createProcess('fate', true)
  const inflictions: Inflictions = { faults: [], troubles: [] }

  const happened = (kind: string): void => void inflictions.faults.push({ kind, atMs: clock.now() })
  const troubled: Troubled = (server, ms) => {
    const nowMs = clock.now()
    inflictions.troubles.push({ of: server, fromMs: nowMs - RECOVERY_MS, untilMs: nowMs + ms + RECOVERY_MS })
  }

  function layTrap(): void {
    const [place, moment] = random.pick(CUTS)
    world.traps.lay(place, {
      moment,
      onSprung() {
        happened(moment === 'before' ? `cut before ${place}` : `reply to ${place} cut`)
        troubled(place === 'COMMIT' || place === 'statement' ? 'PostgreSQL' : 'Redis', 0)
      },
    })
  }

  /** Behind an add, when there is something to lose. */
  function flushSoon(): void {
    world.traps.lay('add', {
      moment: undefined,
      onSprung: () => void clock.after(random.next() * 2, fate, flush),
    })
  }

  function flush(): void {
    happened('Redis flushed')
    world.flushes.push({ atMs: clock.exactNow(), ...world.data.flush() })
  }

  const faults = [
    { kind: 'a trap', weight: 12, inflict: layTrap },
    ...processFaults(world, fleet, random),
    ...serverFaults(world, random, troubled),
    ...streamFaults(world, random, (run, afterMs) => clock.after(afterMs, fate, run)),
  ]
  if (plan.flush) faults.push({ kind: 'a flush', weight: 6, inflict: flushSoon })
  const weighted = faults.map((fault) => [fault.weight, fault] as const)
  for (let i = 0; i < plan.count; i++)
    clock.after(random.next() * plan.overMs, fate, () => {
      const { kind, inflict } = random.weighted(weighted)
      // What waits for its moment tells of itself then.
      const waits = inflict === layTrap || inflict === flushSoon
      if (inflict() !== false && !waits) happened(kind)
    })
  return inflictions
}

function processFaults(world: World, fleet: Fleet, random: Random): Fault[] {
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

function serverFaults({ redis, postgres }: World, random: Random, troubled: Troubled): Fault[] {
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

function streamFaults(
  { streams }: World,
  random: Random,
  later: (run: () => void, afterMs: number) => unknown,
): Fault[] {
  function fail(part: Partial<Streams['troubles']>): void {
    Object.assign(streams.troubles, part)
    later(() => Object.assign(streams.troubles, { lose: 0, delay: 0, repeat: 0 }), random.between(300, 4000))
  }
  return [
    { kind: 'notes and replies lost', weight: 4, inflict: () => fail({ lose: random.pick([0.3, 1]) }) },
    { kind: 'notes and replies late and twice', weight: 3, inflict: () => fail({ delay: 0.5, repeat: 0.5 }) },
  ]
}
