import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { run } from '../../../tools/dev-stack/commands.mjs'
import { startPostgres } from '../../../tools/dev-stack/postgres.mjs'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { startPgBouncer } from '../../stack/pgbouncer.ts'
import type { Build, Env } from '../../stack/processes.ts'
import {
  chosenRedis,
  isReplicated,
  productOf,
  type ReplicatedRedis,
} from '../../stack/redis/deployment.ts'
import type { RedisLoss } from '../injection/redis-losses.ts'
import { type BuildCopy, copyBuild } from './build-copy.ts'
import type { Mutation } from './mutation.ts'
import {
  type Persistence,
  type RedisHost,
  type RedisHostOptions,
  startRedisHost,
} from './redis-host.ts'
import { startReplicatedHost } from './replicated-host.ts'
import { createServerClocks, type ServerClocks } from './server-clocks.ts'
import { type Intervene, openSlot, type Slot } from './slot.ts'

export interface FleetOptions {
  apis?: number
  workers?: number
  /** Number of notifiers. Default: none. */
  notifiers?: number
  /** Added to the environment of every process. */
  env?: Env
  /** Defects of the system. */
  mutations?: Mutation[]
  /** Called at every moment that a proxy recognizes. */
  intervene?: Intervene
  /** What Redis keeps. Default: `always`. */
  persistence?: Persistence
  /** True to put a PgBouncer in session mode between the processes and PostgreSQL. */
  pgbouncer?: boolean
  /**
   * Whether every write to Redis is kept in a file, which the checker needs. False for runs of
   * millions of commands.
   */
  keepJournal?: boolean
  /**
   * Whether the clocks of both servers can be set, if this machine can build the library for it.
   */
  steppableServers?: boolean
}

/**
 * A whole system of real processes with its own servers. Each process connects through its own
 * proxies.
 */
export interface Fleet {
  apis: Slot[]
  workers: Slot[]
  notifiers: Slot[]
  slots: Slot[]
  postgres: Server
  /** The Redis that is in use. @throws Error if Redis has several servers */
  readonly redis: Server
  /** Redis, if it has several servers. */
  replicated?: ReplicatedRedis
  /** The addresses of the servers of Redis that clients write to. */
  redisUrls(): Promise<string[]>
  readonly persistence: Persistence
  /** The folders of the files that have every write to Redis, in order. */
  journalFolders(): string[]
  /** Makes Redis lose data. Use the function of `redis-losses.ts`, which records it. */
  loseRedis: RedisHost['lose']
  /** The losses so far. */
  losses: RedisLoss[]
  keyPrefix: string
  jwtSecret: string
  /** Environment of every process, without the addresses of the servers. */
  env: Env
  /** The settings with which a process finds the servers, without proxies. */
  addresses(): Promise<Env>
  build: Build
  /** Absent unless `steppableServers` was set and the library could be built. */
  serverClocks?: ServerClocks
  /** Starts another worker. Without it, a fleet may have none. */
  addWorker(): Promise<void>
  /** Resolves when every process is ready. */
  ready(timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

const NO_RATE_LIMITS: Env = {
  RATE_LIMIT: '100000000',
  POLL_RATE_LIMIT: '100000000',
  LOGIN_RATE_LIMIT: '100000000',
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-faults-'))
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (let step = closers.pop(); step !== undefined; step = closers.pop()) await step()
  }
  try {
    const { mutations = [], persistence = 'always' } = options
    const build: BuildCopy = copyBuild(mutations)
    closers.push(build.remove)
    const serverClocks = options.steppableServers ? await createServerClocks(folder) : undefined
    const slots: Slot[] = []
    const [postgres, redisHost] = await startServers(
      folder,
      { persistence, keepJournal: options.keepJournal ?? true },
      closers,
      serverClocks,
      (target) => {
        for (const slot of slots) slot.redisLink.retarget(target)
      },
    )
    let databaseUrl = postgres.url
    if (options.pgbouncer) {
      const pgbouncer = await startPgBouncer(postgres.url)
      closers.push(pgbouncer.stop)
      databaseUrl = pgbouncer.urlOf(postgres.url)
    }
    await run(process.execPath, [build.migrateScript], {
      env: { ...process.env, DATABASE_URL: databaseUrl },
    })
    const keyPrefix = `faults-${randomBytes(4).toString('hex')}`
    const jwtSecret = randomBytes(32).toString('hex')
    const env: Env = {
      ...NO_RATE_LIMITS,
      NODE_ENV: 'test',
      KEY_PREFIX: keyPrefix,
      JWT_SECRET: jwtSecret,
      WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex'),
      // Receivers listen on this machine.
      WEBHOOK_ALLOW_HTTP: 'true',
      WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
      ...options.env,
    }
    await mutateDatabase(postgres.url, mutations)
    for (const mutation of mutations)
      if (mutation.kind === 'env') env[mutation.name] = mutation.value
    const open = (kind: Slot['kind'], index: number): Promise<Slot> =>
      openSlot({
        name: `${kind === 'booking-worker' ? 'worker' : kind}-${index}`,
        kind,
        script: build.script(kind),
        env,
        redisUrl: redisHost.replicated?.nodes[0]?.url ?? redisHost.server().url,
        redisEnv: redisHost.env,
        databaseUrl,
        intervene: options.intervene ?? (() => undefined),
      })
    const apis = await openAll(options.apis ?? 2, (index) => open('api', index), closers)
    const workers = await openAll(
      options.workers ?? 3,
      (index) => open('booking-worker', index),
      closers,
    )
    const notifiers = await openAll(
      options.notifiers ?? 0,
      (index) => open('notifier', index),
      closers,
    )
    slots.push(...apis, ...workers, ...notifiers)
    return {
      apis,
      workers,
      notifiers,
      slots,
      postgres,
      get redis() {
        return redisHost.server()
      },
      ...(redisHost.replicated !== undefined && { replicated: redisHost.replicated }),
      redisUrls: redisHost.urls,
      addresses: async () => ({
        DATABASE_URL: databaseUrl,
        ...(redisHost.env ?? { REDIS_URL: redisHost.server().url }),
      }),
      persistence,
      journalFolders: redisHost.journalFolders,
      loseRedis: redisHost.lose,
      losses: [],
      keyPrefix,
      jwtSecret,
      env,
      build,
      ...(serverClocks !== undefined && { serverClocks }),
      async addWorker() {
        const worker = await open('booking-worker', workers.length)
        closers.push(worker.close)
        workers.push(worker)
        slots.push(worker)
      },
      async ready(timeoutMs = 30_000) {
        const isReady = async (slot: Slot): Promise<boolean> =>
          (await fetch(`${slot.url}/readyz`, { signal: AbortSignal.timeout(1000) })).status === 200
        for (const slot of slots) {
          if (await until(() => isReady(slot), { timeoutMs })) continue
          const now = slot
            .process()
            .logs.slice(-5)
            .map((line) => JSON.stringify(line))
          const lines = [...(slot.crashes().at(-1)?.lastLines ?? []), ...now]
          throw new Error(`${slot.name} is not ready. Its last log lines:\n${lines.join('\n')}`)
        }
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function mutateDatabase(url: string, mutations: Mutation[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const mutation of mutations)
      if (mutation.kind === 'sql') await client.query(mutation.statement)
  } finally {
    await client.end()
  }
}

async function startServers(
  folder: string,
  redisOptions: Pick<RedisHostOptions, 'persistence' | 'keepJournal'>,
  closers: (() => unknown)[],
  clocks: ServerClocks | undefined,
  onRedisMoved: RedisHostOptions['onMoved'],
): Promise<[Server, RedisHost]> {
  const kind = chosenRedis()
  const startHost = (): Promise<RedisHost> =>
    isReplicated(kind)
      ? startReplicatedHost({ ...redisOptions, kind, folder })
      : startRedisHost({
          ...redisOptions,
          folder,
          env: clocks?.env.redis,
          onMoved: onRedisMoved,
          product: productOf(kind),
        })
  const [postgres, redis] = await Promise.allSettled([
    startPostgres({ folder: path.join(folder, 'postgres'), env: clocks?.env.postgres }),
    startHost(),
  ])
  for (const result of [postgres, redis])
    if (result.status === 'fulfilled') closers.push(() => result.value.stop())
  if (postgres.status === 'rejected') throw postgres.reason
  if (redis.status === 'rejected') throw redis.reason
  return [postgres.value, redis.value]
}

async function openAll(
  count: number,
  open: (index: number) => Promise<Slot>,
  closers: (() => unknown)[],
): Promise<Slot[]> {
  const slots = await Promise.all(Array.from({ length: count }, (_, index) => open(index)))
  closers.push(() => Promise.all(slots.map((slot) => slot.close())))
  return slots
}
