import { randomBytes } from 'node:crypto'
import type { Role } from '@ticket-line/shared'
import { type Client, createClient, signToken } from './client.ts'
import { createEmptyDatabase, createTemplate } from './databases.ts'
import {
  type Build,
  type Env,
  ownBuild,
  type ServiceProcess,
  startApi,
  startNotifier,
  startWorker,
} from './processes.ts'
import { withRedis } from './redis/connection.ts'
import { createRestrictedUser } from './redis/user.ts'
import type { Servers } from './servers.ts'
import type { SharedServers } from './shared-servers.ts'
import { createTypedClient } from './typed-client.ts'

export interface SystemOptions {
  /** Number of API processes at the start. Default: 1. */
  apis?: number
  /** Number of worker processes at the start. Default: 1. */
  workers?: number
  /** Number of notifier processes at the start. Default: 0. */
  notifiers?: number
  /** Added to the environment of every process. */
  env?: Env
  /** The suite's own servers, for tests that kill them. Default: the servers of the run. */
  servers?: Servers
  /** Default: the build of this checkout. Another build needs the suite's own servers. */
  build?: Build
  /**
   * True to let the processes use Redis with the rules of `deploy/redis/ticket-line.acl`, on a
   * Redis with one server. Default: if `TEST_REDIS_USER` is `restricted`.
   */
  restrictedUser?: boolean
  /** Returns the address at which the processes reach the database, such as that of a pooler. */
  databaseUrlOf?: (databaseUrl: string) => string
}

/** A running system with its own database and key prefix. */
export interface System {
  apis: ServiceProcess[]
  workers: ServiceProcess[]
  notifiers: ServiceProcess[]
  /** A client of the first API process. */
  api: Client
  /** A client of the API process with this index. */
  client(index: number): Client
  /** Starts one more process like the others. It is stopped with them. */
  addApi(env?: Env): Promise<ServiceProcess>
  addWorker(env?: Env): Promise<ServiceProcess>
  addNotifier(env?: Env): Promise<ServiceProcess>
  token(userId: string, role?: Role, expiresInS?: number): Promise<string>
  databaseUrl: string
  redisUrl: string
  keyPrefix: string
  jwtSecret: string
  /** The environment of every process. */
  env: Env
  /** Stops the processes, drops the database, deletes the keys. */
  stop(): Promise<void>
}

/** Limits that no test reaches. A test of a limit sets its own. */
const highLimits: Env = {
  RATE_LIMIT: '1000000',
  POLL_RATE_LIMIT: '1000000',
  LOGIN_RATE_LIMIT: '1000000',
}

const LONG_MS = '20000'

/**
 * How long the API waits for the servers of the run. No test stops those servers, so a late reply
 * only means that the machine is busy. Suites with servers of their own get the product's defaults.
 */
const longDeadlines: Env = {
  REDIS_TIMEOUT_MS: LONG_MS,
  PROBE_TIMEOUT_MS: LONG_MS,
  READ_TIMEOUT_MS: LONG_MS,
  API_PG_CONNECT_TIMEOUT_MS: LONG_MS,
  API_PG_STATEMENT_TIMEOUT_MS: LONG_MS,
}

export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const build = options.build ?? ownBuild
  const base = await createBase(options.servers, build, options.restrictedUser)
  const jwtSecret = randomBytes(32).toString('hex')
  const { databaseUrl, redisUrl, redisEnv, keyPrefix } = base
  const env: Env = {
    ...highLimits,
    ...(options.servers === undefined && longDeadlines),
    NODE_ENV: 'test',
    LOG_LEVEL: 'info',
    DATABASE_URL: options.databaseUrlOf?.(databaseUrl) ?? databaseUrl,
    ...redisEnv,
    KEY_PREFIX: keyPrefix,
    JWT_SECRET: jwtSecret,
    WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex'),
    // Receivers of tests listen on this machine.
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
    ...options.env,
  }
  const apis: ServiceProcess[] = []
  const workers: ServiceProcess[] = []
  const notifiers: ServiceProcess[] = []
  async function addApi(extra: Env = {}): Promise<ServiceProcess> {
    const api = await startApi({ ...env, ...extra }, build)
    apis.push(api)
    return api
  }
  async function addWorker(extra: Env = {}): Promise<ServiceProcess> {
    const worker = await startWorker({ ...env, ...extra }, build)
    workers.push(worker)
    return worker
  }
  async function addNotifier(extra: Env = {}): Promise<ServiceProcess> {
    const notifier = await startNotifier({ ...env, ...extra }, build)
    notifiers.push(notifier)
    return notifier
  }
  const client = (index: number) => {
    const api = apis[index]
    if (api === undefined) throw new Error(`There is no API process ${index}`)
    return process.env['TEST_CLIENT'] === 'typed'
      ? createTypedClient(api.url)
      : createClient(api.url)
  }

  async function stop(): Promise<void> {
    await Promise.all([...apis, ...workers, ...notifiers].map((process) => process.stop()))
    await base.remove()
  }

  const starts = [
    ...Array.from({ length: options.apis ?? 1 }, () => addApi()),
    ...Array.from({ length: options.workers ?? 1 }, () => addWorker()),
    ...Array.from({ length: options.notifiers ?? 0 }, () => addNotifier()),
  ]
  const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return {
    apis,
    workers,
    notifiers,
    get api() {
      return client(0)
    },
    client,
    addApi,
    addWorker,
    addNotifier,
    token: (userId, role = 'user', expiresInS = 3600) =>
      signToken(userId, role, { secret: jwtSecret, expiresInS }),
    databaseUrl,
    redisUrl,
    keyPrefix,
    jwtSecret,
    env,
    stop,
  }
}

/**
 * Creates a database and a key prefix on the servers of the run or on the suite's own, for tests
 * that start their processes themselves.
 */
export async function createBase(
  own?: Servers,
  build: Build = ownBuild,
  // A suite may restart servers of its own, and a Redis that restarts has forgotten the user.
  restrictedUser = own === undefined && process.env['TEST_REDIS_USER'] === 'restricted',
): Promise<{
  databaseUrl: string
  redisUrl: string
  /** The settings with which a service finds Redis. */
  redisEnv: Env
  keyPrefix: string
  remove(): Promise<void>
}> {
  // Loaded only if needed, because it runs only within vitest and the herd runs without.
  const shared = () => import('./shared-servers.ts').then((module) => module.sharedServers())
  const servers = own === undefined ? await shared() : await asShared(own, build)
  const database = await createEmptyDatabase(servers.postgresUrl, servers.templateDatabase)
  const keyPrefix = `test-${randomBytes(6).toString('hex')}`
  const user = restrictedUser ? await createRestrictedUser(servers.redisUrl, keyPrefix) : undefined
  return {
    databaseUrl: database.url,
    redisUrl: servers.redisUrl,
    redisEnv: user === undefined ? servers.redisEnv : { REDIS_URL: user.url },
    keyPrefix,
    async remove() {
      const denials = (await user?.denials()) ?? []
      await user?.remove()
      // If a test has killed its own servers, there is nothing to clean up.
      const cleaned = Promise.all([
        database.drop(),
        ...servers.redisUrls.map((url) => deleteKeys(url, keyPrefix)),
      ])
      await (own === undefined ? cleaned : cleaned.catch(() => undefined))
      if (denials.length > 0)
        throw new Error(`deploy/redis/ticket-line.acl lacks rights: ${denials.join(', ')}`)
    },
  }
}

const templates = new WeakMap<Servers, Map<Build, Promise<string>>>()

async function asShared(own: Servers, build: Build): Promise<SharedServers> {
  const ofServers = templates.get(own) ?? new Map<Build, Promise<string>>()
  templates.set(own, ofServers)
  const template = ofServers.get(build) ?? createTemplate(own.postgres.url, build)
  ofServers.set(build, template)
  return {
    postgresUrl: own.postgres.url,
    redisUrl: own.redis.url,
    redisEnv: own.redisEnv,
    redisUrls: own.redisUrls,
    templateDatabase: await template,
  }
}

function deleteKeys(redisUrl: string, keyPrefix: string): Promise<void> {
  return withRedis(redisUrl, async (redis) => {
    // A replica loses its keys with those of its master.
    if ((await redis.role())[0] !== 'master') return
    for await (const keys of redis.scanStream({ match: `*${keyPrefix}*`, count: 1000 })) {
      // In a cluster, one command may delete keys of one slot only.
      await redis.pipeline((keys as string[]).map((key) => ['unlink', key])).exec()
    }
  })
}
