import type { Random } from '../random.ts'
import type { CutPoint } from './armed-cuts.ts'
import type { Fleet } from './fleet.ts'
import type { Loss } from './redis-data.ts'
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

/** How much a Redis loses if it starts from a file, or if a lagging replica is promoted, ms. */
const LOST_BY_RESTART_MS = 1000
const LOST_BY_REPLICA_MS = 200
/** When Redis loses its data: at once, or when it has the most to lose. */
const LOST_AT: ('once' | CutPoint)[] = ['once', 'add', 'add', 'completion', 'recovery', 'recovery']

/** How long workers freeze before or while Redis loses something, ms. Their locks last longer. */
const PILES_UP_MS: [number, number] = [200, 900]
/** How long after a failover the former master is in use again, ms. */
const BACK_MS: [number, number] = [300, 4000]
/** How many bursts arrive meanwhile and soon afterwards. */
const BURSTS = 8

/** Redis loses everything, its last writes, or single jobs. */
export function lossFaults(
  { armedCuts, clock, data, losses, postgres, recoveredAtMs, redis }: World,
  fleet: Fleet,
  random: Random,
  {
    record,
    later,
    onDisturbance,
    sendBurst,
  }: {
    record: (kind: string) => void
    later: (run: () => void, afterMs: number) => unknown
    onDisturbance: OnDisturbance
    /** Sends a few commands at once. */
    sendBurst: () => void
  },
): Fault[] {
  const downMs = (): number => random.between(1, 2500)
  const failoverMs = (): number => random.between(1, 100)

  /**
   * Loses something while commands arrive. In half of the cases they pile up, because all workers
   * are frozen.
   * @returns false, because such a fault records itself
   */
  function duringBursts(run: () => void): boolean {
    const forMs = random.between(...PILES_UP_MS)
    if (random.chance(0.5))
      for (const { process } of fleet.workers())
        process.frozenUntilMs = Math.max(process.frozenUntilMs, clock.now() + forMs)
    for (let i = 0; i < BURSTS; i++) later(sendBurst, random.next() * 1.5 * forMs)
    // Most of them are there by then, and the workers soon fetch what arrives afterwards.
    later(run, (0.5 + random.next() / 2) * forMs)
    return false
  }

  /** PostgreSQL has what Redis loses, and may be away at the same time. */
  function lose(kind: string, run: () => Loss, downMs = 0): void {
    record(kind)
    losses.push({ atMs: clock.exactNow(), ofAll: true, ...run() })
    if (downMs > 0) {
      onDisturbance('Redis', downMs)
      redis.restart(downMs)
    }
    if (!random.chance(0.3)) return
    const awayMs = random.between(100, 2500)
    onDisturbance('PostgreSQL', awayMs)
    if (random.chance(0.5)) postgres.goDown(awayMs)
    else postgres.freeze(awayMs)
  }

  function loseAll(kind: string, run: () => Loss, chooseDownMs = () => 0): void {
    const point = random.pick(LOST_AT)
    const loseNow = (): void => lose(kind, run, chooseDownMs())
    if (point === 'once') loseNow()
    else
      armedCuts.arm(point, {
        moment: undefined,
        onReached: () => void later(loseNow, random.next() * 2),
      })
  }

  function loseLastWrites(kind: string, lostMs: number, chooseDownMs: () => number): void {
    const saved = data.save()
    later(() => lose(kind, () => data.restart(saved), chooseDownMs()), random.next() * lostMs)
  }

  /**
   * The former master keeps what it had. Its generation is out of date when it is in use again,
   * unless no recovery began in between. Then its successor never took part.
   */
  function failOverAndBack(kind: string): void {
    const former = data.save()
    function goBack(): void {
      lose(kind, () => data.returnTo(former), failoverMs())
      if (data.isReady()) recoveredAtMs.push(clock.exactNow())
    }
    lose('lagging replica promoted', () => data.restart(former), failoverMs())
    later(goBack, random.between(...BACK_MS))
  }

  function loseJobs(): void {
    for (let jobs = random.between(1, 6); jobs > 0; jobs--) {
      const pick = <T>(all: T[]) => (all.length === 0 ? undefined : random.pick(all))
      const loss = data.loseJob(pick, random.pick(['job', 'job', 'entry']))
      if (loss.lost.size > 0) record('jobs lost')
      losses.push({ atMs: clock.exactNow(), ofAll: false, ...loss })
    }
  }

  const faults: [kind: string, weight: number, inject: (kind: string) => void][] = [
    ['Redis flushed', 6, (kind) => loseAll(kind, data.flush)],
    ['Redis restarted empty', 2, (kind) => loseAll(kind, () => data.restart(), downMs)],
    [
      'Redis restarted without its last writes',
      3,
      (kind) => loseLastWrites(kind, LOST_BY_RESTART_MS, downMs),
    ],
    ['lagging replica promoted', 3, (kind) => loseLastWrites(kind, LOST_BY_REPLICA_MS, failoverMs)],
    ['former master in use again', 3, failOverAndBack],
    ['jobs lost', 6, loseJobs],
  ]
  return faults.map(([kind, weight, inject]) => ({
    kind,
    weight,
    inject: () => duringBursts(() => inject(kind)),
  }))
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
