import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import type { Intervention } from '../../proxy/link.ts'
import type { Moment } from '../../proxy/moments.ts'
import type { TcpProxy } from '../../proxy/tcp-proxy.ts'
import { withRedis } from '../../stack/redis/connection.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Loss } from '../fleet/redis-host.ts'
import type { Intervene, Slot } from '../fleet/slot.ts'
import { disturbMaster, type MasterFault } from './master-faults.ts'
import type { Fault, PlannedFault } from './plan.ts'
import { loseRedis } from './redis-losses.ts'
import { refuseWrites } from './redis-refusals.ts'
import { breakSql } from './sql-faults.ts'

/** Faults that happen when a command reaches a certain moment. */
export interface ArmedFaults {
  /** Given to the proxies of the fleet. */
  intervene: Intervene
  /** Intervenes once, the next time that this moment occurs on any connection. */
  arm(moment: Moment, intervention: Intervention): void
  /** Number of interventions so far. */
  triggered(): number
  /** Discards the interventions that have not happened yet. */
  disarm(): void
}

export function createArmedFaults(): ArmedFaults {
  const armed = new Map<Moment, Intervention[]>()
  let triggered = 0
  return {
    intervene(_slot, moment) {
      const intervention = armed.get(moment)?.shift()
      if (intervention !== undefined) triggered += 1
      return intervention
    },
    arm(moment, intervention) {
      armed.set(moment, [...(armed.get(moment) ?? []), intervention])
    },
    triggered: () => triggered,
    disarm: () => armed.clear(),
  }
}

type ServerName = 'redis' | 'postgres'

/** How long a loss waits until Redis has no other fault, ms. */
const FREE_WITHIN_MS = 10_000
/** How long a fault of a master waits until the previous one is over, ms. */
const HEALTHY_WITHIN_MS = 30_000

/** Injects faults at the times of a plan. */
export interface Injector {
  /** Number of faults so far. */
  count(): number
  /** Cancels the faults that have not started, and resolves when the others have ended. */
  stop(): Promise<void>
}

export function startInjector(
  fleet: Fleet,
  armedFaults: ArmedFaults,
  plan: PlannedFault[],
  onFault: (fault: Fault, sinceMs: number) => void,
): Injector {
  const startedAt = performance.now()
  const running = new Set<Promise<void>>()
  /** Servers with a fault that has not ended. A server gets one fault at a time. */
  const busy = new Set<ServerName>()
  let count = 0
  let stopped = false
  const timers = plan.map(({ atMs, fault }) => setTimeout(() => start(fault), atMs))

  function start(fault: Fault): void {
    onFault(fault, performance.now() - startedAt)
    const done = inject(fault).catch(() => undefined)
    running.add(done)
    void done.then(() => running.delete(done))
  }

  async function inject(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'moment':
        armedFaults.arm(fault.moment, fault.intervention)
        return
      case 'kill-redis':
        return killRedis()
      case 'kill-postgres':
        return killPostgres()
      case 'lose-redis':
        return lose(fault.loss, fault.lagMs)
      case 'disturb-master':
        return disturb(fault.how, fault.index)
      case 'client-kill': {
        count += 1
        const urls = await fleet.redisUrls()
        return killClient(urls[fault.index % urls.length] as string, fault.index)
      }
      case 'refuse-writes':
        return disturbServer('redis', fault.ms, () => refuseWrites(fleet.redis.url, fault.refusal))
      case 'break-sql':
        return disturbServer('postgres', fault.ms, () => breakSql(fleet.postgres.url, fault.fault))
      case 'step-clock':
        count += 1
        fleet.slots[fault.index % fleet.slots.length]?.stepClock(fault.offsetMs)
        return
      case 'stop-clock': {
        count += 1
        const slot = fleet.slots[fault.index % fleet.slots.length]
        slot?.stopClock()
        await sleep(fault.ms)
        slot?.stepClock(0)
        return
      }
      case 'cut-link':
        count += 1
        proxyOf(fault).cutAll()
        return
      case 'sever-link':
      case 'hold-link':
        return disturbProxy(proxyOf(fault), fault)
      default:
        return injectIntoProcess(fault)
    }
  }

  async function injectIntoProcess(fault: Fault & { index: number; ms?: number }): Promise<void> {
    const slots = fault.kind.endsWith('api')
      ? fleet.apis
      : fault.kind.endsWith('worker')
        ? fleet.workers
        : fleet.notifiers
    const slot = slots[fault.index % slots.length]
    if (slot === undefined || !slot.process().running() || slot.frozen()) return
    count += 1
    if (fault.kind.startsWith('kill')) return slot.kill()
    if (fault.kind.startsWith('freeze')) return slot.freeze(fault.ms as number)
    return slot.terminate()
  }

  async function killRedis(): Promise<void> {
    if (busy.has('redis')) return
    await occupy('redis', async () => {
      if (fleet.persistence === 'always') await fleet.loseRedis('killed')
      else await loseRedis(fleet, 'killed')
    })
  }

  async function killPostgres(): Promise<void> {
    if (busy.has('postgres')) return
    await occupy('postgres', async () => {
      await fleet.postgres.kill()
      await fleet.postgres.restart()
    })
  }

  /** Waits until Redis has no other fault, because losses are few. */
  async function lose(loss: Loss, lagMs: number): Promise<void> {
    await until(() => stopped || !busy.has('redis'), { timeoutMs: FREE_WITHIN_MS })
    if (stopped || busy.has('redis')) return
    await occupy('redis', () => loseRedis(fleet, loss, lagMs))
  }

  /** Waits until the previous fault is over. Without a replica, a master cannot fail over. */
  async function disturb(how: MasterFault, index: number): Promise<void> {
    await until(() => stopped || !busy.has('redis'), { timeoutMs: HEALTHY_WITHIN_MS })
    if (stopped || busy.has('redis')) return
    await occupy('redis', async () => (await disturbMaster(fleet, how, index)).recovered)
  }

  async function occupy(name: ServerName, work: () => Promise<void>): Promise<void> {
    count += 1
    busy.add(name)
    try {
      await work()
    } finally {
      busy.delete(name)
    }
  }

  /**
   * Disturbs a server for a while. The server gets no other fault until then, because another fault
   * could prevent the call that ends this one.
   */
  async function disturbServer(
    name: ServerName,
    ms: number,
    disturb: () => Promise<() => Promise<void>>,
  ): Promise<void> {
    if (busy.has(name)) return
    await occupy(name, async () => {
      const end = await disturb()
      await sleep(ms)
      await retry(end)
    })
  }

  function proxyOf({ index, server }: { index: number; server: 'redis' | 'postgres' }): TcpProxy {
    const slot = fleet.slots[index % fleet.slots.length] as Slot
    return server === 'redis' ? slot.redisLink : slot.postgresLink
  }

  async function disturbProxy(
    proxy: TcpProxy,
    { kind, ms }: { kind: string; ms: number },
  ): Promise<void> {
    count += 1
    if (kind === 'sever-link') proxy.sever()
    else proxy.hold()
    await sleep(ms)
    proxy.restore()
  }

  return {
    count: () => count + armedFaults.triggered(),
    async stop() {
      stopped = true
      for (const timer of timers) clearTimeout(timer)
      armedFaults.disarm()
      await Promise.all(running)
    },
  }
}

/**
 * Repeats the end of a fault that fails, because otherwise the fault would last until the end of
 * the run.
 */
async function retry(work: () => Promise<void>): Promise<void> {
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

/** `CLIENT KILL` of one connection of a service. */
async function killClient(redisUrl: string, index: number): Promise<void> {
  await withRedis(redisUrl, async (redis) => {
    const clients = (await redis.client('LIST')) as string
    const own = `id=${await redis.client('ID')} `
    const others = clients
      .split('\n')
      .filter((line) => line.startsWith('id=') && !line.startsWith(own))
      .filter((line) => !line.includes(' cmd=monitor '))
    const id = /^id=(\d+)/.exec(others[index % others.length] ?? '')?.[1]
    if (id !== undefined) await redis.client('KILL', 'ID', id)
  })
}
