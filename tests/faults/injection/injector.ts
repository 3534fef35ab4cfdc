import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import type { Intervention } from '../../proxy/link.ts'
import type { Moment } from '../../proxy/moments.ts'
import type { TcpProxy } from '../../proxy/tcp-proxy.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Intervene, Slot } from '../fleet/slot.ts'
import type { Fault, PlannedFault } from './plan.ts'
import { refuseWrites } from './redis-refusals.ts'
import { breakSql } from './sql-faults.ts'

/** Faults that wait for their moment to come. */
export interface Ambush {
  intervene: Intervene
  lay(moment: Moment, intervention: Intervention): void
  /** How many found their moment. */
  sprung(): number
  /** No more of them. */
  lift(): void
}

export function createAmbush(): Ambush {
  const laid = new Map<Moment, Intervention[]>()
  let sprung = 0
  return {
    intervene(_slot, moment) {
      const intervention = laid.get(moment)?.shift()
      if (intervention !== undefined) sprung += 1
      return intervention
    },
    lay(moment, intervention) {
      laid.set(moment, [...(laid.get(moment) ?? []), intervention])
    },
    sprung: () => sprung,
    lift: () => laid.clear(),
  }
}

/** Breaks what a plan says when it says so. */
export interface Injector {
  /** Faults that happened so far. */
  count(): number
  /** Calls off what is left of the plan, waits for what is under way and mends everything. */
  stop(): Promise<void>
}

export function startInjector(
  fleet: Fleet,
  ambush: Ambush,
  plan: PlannedFault[],
  onFault: (fault: Fault, sinceMs: number) => void,
): Injector {
  const startedAt = performance.now()
  const underWay = new Set<Promise<void>>()
  /** Servers that are down this moment: nothing can be done to them twice at once. */
  const down = new Set<Server>()
  let count = 0
  const timers = plan.map(({ atMs, fault }) => setTimeout(() => start(fault), atMs))

  function start(fault: Fault): void {
    onFault(fault, performance.now() - startedAt)
    const done = inflict(fault).catch(() => undefined)
    underWay.add(done)
    void done.then(() => underWay.delete(done))
  }

  async function inflict(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'moment':
        ambush.lay(fault.moment, fault.intervention)
        return
      case 'kill-redis':
        return crash(fleet.redis)
      case 'kill-postgres':
        return crash(fleet.postgres)
      case 'client-kill':
        count += 1
        return killClient(fleet.redis.url, fault.index)
      case 'refuse-writes':
        return endured(fleet.redis, fault.ms, () => refuseWrites(fleet.redis.url, fault.refusal))
      case 'break-sql':
        return endured(fleet.postgres, fault.ms, () => breakSql(fleet.postgres.url, fault.fault))
      case 'step-clock':
        count += 1
        fleet.slots[fault.index % fleet.slots.length]?.stepClock(fault.offsetMs)
        return
      case 'cut-link':
        count += 1
        linkOf(fault).cutAll()
        return
      case 'sever-link':
      case 'hold-link':
        return disturb(linkOf(fault), fault)
      default:
        return inflictProcess(fault)
    }
  }

  async function inflictProcess(fault: Fault & { index: number; ms?: number }): Promise<void> {
    const slots = fault.kind.endsWith('api') ? fleet.apis : fleet.workers
    const slot = slots[fault.index % slots.length] as Slot
    if (!slot.process().running() || slot.frozen()) return
    count += 1
    if (fault.kind.startsWith('kill')) return slot.kill()
    if (fault.kind.startsWith('freeze')) return slot.freeze(fault.ms as number)
    return slot.terminate()
  }

  async function crash(server: Server): Promise<void> {
    if (down.has(server)) return
    count += 1
    down.add(server)
    try {
      await server.kill()
      await server.restart()
    } finally {
      down.delete(server)
    }
  }

  /** Disturbs a server for a while; nothing else is done to it meanwhile, so that the end is reached. */
  async function endured(
    server: Server,
    ms: number,
    disturb: () => Promise<() => Promise<void>>,
  ): Promise<void> {
    if (down.has(server)) return
    count += 1
    down.add(server)
    try {
      const end = await disturb()
      await sleep(ms)
      await persist(end)
    } finally {
      down.delete(server)
    }
  }

  function linkOf({ index, server }: { index: number; server: 'redis' | 'postgres' }): TcpProxy {
    const slot = fleet.slots[index % fleet.slots.length] as Slot
    return server === 'redis' ? slot.redisLink : slot.postgresLink
  }

  async function disturb(
    link: TcpProxy,
    { kind, ms }: { kind: string; ms: number },
  ): Promise<void> {
    count += 1
    if (kind === 'sever-link') link.sever()
    else link.hold()
    await sleep(ms)
    link.restore()
  }

  return {
    count: () => count + ambush.sprung(),
    async stop() {
      for (const timer of timers) clearTimeout(timer)
      ambush.lift()
      await Promise.all(underWay)
    },
  }
}

/** A fault that did not end would be there for the rest of the run. */
async function persist(work: () => Promise<void>): Promise<void> {
  const tries = 5
  for (let attempt = 1; attempt < tries; attempt++) {
    try {
      return await work()
    } catch {
      await sleep(200)
    }
  }
  return work()
}

/** `CLIENT KILL` of some connection of a service. */
async function killClient(redisUrl: string, index: number): Promise<void> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 0, retryStrategy: () => null })
  redis.on('error', () => undefined)
  try {
    const clients = (await redis.client('LIST')) as string
    const own = `id=${await redis.client('ID')} `
    const others = clients
      .split('\n')
      .filter((line) => line.startsWith('id=') && !line.startsWith(own))
    const id = /^id=(\d+)/.exec(others[index % others.length] ?? '')?.[1]
    if (id !== undefined) await redis.client('KILL', 'ID', id)
  } finally {
    redis.disconnect()
  }
}
