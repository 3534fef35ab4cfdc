import { createProcess } from './clock.ts'
import {
  type Fault,
  processFaults,
  type ServerName,
  serverFaults,
  streamFaults,
} from './fault-kinds.ts'
import type { Fleet } from './fleet.ts'
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
  function troubled(server: ServerName, ms: number): void {
    const nowMs = clock.now()
    inflictions.troubles.push({
      of: server,
      fromMs: nowMs - RECOVERY_MS,
      untilMs: nowMs + ms + RECOVERY_MS,
    })
  }

  /** Tells of itself once it springs. */
  function layTrap(): boolean {
    const [place, moment] = random.pick(CUTS)
    world.traps.lay(place, {
      moment,
      onSprung() {
        happened(moment === 'before' ? `cut before ${place}` : `reply to ${place} cut`)
        troubled(place === 'COMMIT' || place === 'statement' ? 'PostgreSQL' : 'Redis', 0)
      },
    })
    return false
  }

  /** Behind the next add, when there is something to lose. */
  function flushSoon(): boolean {
    world.traps.lay('add', {
      moment: undefined,
      onSprung: () => void clock.after(random.next() * 2, fate, flush),
    })
    return false
  }

  function flush(): void {
    happened('Redis flushed')
    world.flushes.push({ atMs: clock.exactNow(), ...world.data.flush() })
  }

  const faults: Fault[] = [
    { kind: 'connection cut at a place', weight: 12, inflict: layTrap },
    ...processFaults(world, fleet, random),
    ...serverFaults(world, random, troubled),
    ...streamFaults(world, random, (run, afterMs) => clock.after(afterMs, fate, run)),
  ]
  if (plan.flush) faults.push({ kind: 'Redis flushed', weight: 6, inflict: flushSoon })
  const weighted = faults.map((fault) => [fault.weight, fault] as const)
  for (let i = 0; i < plan.count; i++)
    clock.after(random.next() * plan.overMs, fate, () => {
      const { kind, inflict } = random.weighted(weighted)
      if (inflict() !== false) happened(kind)
    })
  return inflictions
}
