import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Intervention } from '../../proxy/link.ts'
import {
  apiRedis,
  type Moment,
  plain,
  type Wire,
  workerPostgres,
  workerRedis,
} from '../../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../../proxy/tcp-proxy.ts'
import { type Env, type ServiceProcess, startScript } from '../../stack/processes.ts'

export type ServiceKind = 'api' | 'booking-worker' | 'notifier'

/** Decides what happens at a moment on a connection of a slot. */
export type Intervene = (slot: Slot, moment: Moment) => Intervention | undefined

/**
 * The slot of one process of the fleet, with a fixed port and its own proxies to Redis and
 * PostgreSQL. When the process ends, another is started in its slot.
 */
export interface Slot {
  readonly name: string
  readonly kind: ServiceKind
  readonly redisLink: TcpProxy
  readonly postgresLink: TcpProxy
  /** Address at which the process serves HTTP. */
  readonly url: string
  /** The current process, or the last one until the next is started. */
  process(): ServiceProcess
  /** True while the process is stopped by SIGSTOP. */
  frozen(): boolean
  /** The times at which a process ended without a request to do so. */
  crashes(): { at: string; lastLines: string[] }[]
  /** Sends SIGKILL. */
  kill(): Promise<void>
  /** Sends SIGTERM. Resolves when the process has ended. */
  terminate(): Promise<void>
  /** Sends SIGSTOP, and SIGCONT `ms` later. */
  freeze(ms: number): Promise<void>
  /** Sets the wall clock of this process and of later ones to the real time plus an offset. */
  stepClock(offsetMs: number): void
  /** Stops the wall clock until the next `stepClock`. Timers go on. */
  stopClock(): void
  /** Ends the process and the proxies for good. */
  close(): Promise<void>
}

export interface SlotOptions {
  name: string
  kind: ServiceKind
  script: string
  env: Env
  /** The server to which the proxy leads. */
  redisUrl: string
  /** The settings of a Redis with several servers. The process then connects without the proxy. */
  redisEnv?: Env | undefined
  databaseUrl: string
  intervene: Intervene
}

const STEPPED_CLOCK = new URL('stepped-clock.mjs', import.meta.url).href
/** Time from the end of a process to the start of the next. */
const RESTART_AFTER_MS = 50

const WIRES: Record<ServiceKind, { redis: Wire; postgres: Wire }> = {
  api: { redis: apiRedis, postgres: plain },
  'booking-worker': { redis: workerRedis, postgres: workerPostgres },
  notifier: { redis: plain, postgres: plain },
}

export async function openSlot(options: SlotOptions): Promise<Slot> {
  const { name, kind } = options
  const intervene = (moment: Moment): Intervention | undefined => options.intervene(slot, moment)
  const redis = new URL(options.redisUrl)
  const postgres = new URL(options.databaseUrl)
  const [redisLink, postgresLink] = await Promise.all([
    startProxy({ target: addressOf(redis), wire: WIRES[kind].redis, intervene }),
    startProxy({ target: addressOf(postgres), wire: WIRES[kind].postgres, intervene }),
  ])
  redis.port = String(redisLink.port)
  postgres.port = String(postgresLink.port)
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-slot-'))
  const clockFile = path.join(folder, 'clock-offset-ms')
  writeFileSync(clockFile, '0')
  const env: Env = {
    ...options.env,
    ...(options.redisEnv ?? { REDIS_URL: redis.toString() }),
    DATABASE_URL: postgres.toString(),
    NODE_OPTIONS: `--import ${STEPPED_CLOCK}`,
    CLOCK_OFFSET_FILE: clockFile,
  }

  let closed = false
  let frozen = false
  let endRequested = false
  const crashes: { at: string; lastLines: string[] }[] = []
  let current = await start()

  async function start(): Promise<ServiceProcess> {
    const service = await startScript(name, options.script, env)
    env['PORT'] = service.env['PORT'] as string
    void service.exited.then(() => ended(service))
    return service
  }

  async function ended(service: ServiceProcess): Promise<void> {
    if (!endRequested && !closed) {
      const lastLines = service.logs.slice(-5).map((line) => JSON.stringify(line))
      crashes.push({ at: new Date().toISOString(), lastLines })
    }
    endRequested = false
    frozen = false
    await sleep(RESTART_AFTER_MS)
    if (!closed) current = await start()
  }

  async function end(how: () => Promise<void>): Promise<void> {
    endRequested = true
    await how()
  }

  const slot: Slot = {
    name,
    kind,
    redisLink,
    postgresLink,
    url: current.url,
    process: () => current,
    frozen: () => frozen,
    crashes: () => crashes,
    kill: () => end(() => current.kill()),
    terminate: () => end(() => current.stop()),
    async freeze(ms) {
      const service = current
      service.pause()
      frozen = true
      await sleep(ms)
      service.resume()
      if (current === service) frozen = false
    },
    stepClock(offsetMs) {
      writeFileSync(clockFile, String(offsetMs))
    },
    stopClock() {
      writeFileSync(clockFile, 'stopped')
    },
    async close() {
      closed = true
      await current.stop()
      await Promise.all([redisLink.close(), postgresLink.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return slot
}

function addressOf({ hostname, port }: URL): { host: string; port: number } {
  return { host: hostname, port: Number(port) }
}
