import { Redis, type RedisOptions } from 'ioredis'
import { withDeadline } from './deadline.js'
import { slotConnector, topologyOf } from './redis-cluster.js'
import { loginOf, type RedisSettings } from './redis-settings.js'
import { credentials } from './server-address.js'

/** Options that a caller may add to a profile. */
export type ConnectionExtras = Omit<RedisOptions, 'replyMapping'>

/**
 * Replies of a server that does not accept writes, or no longer has the slot. After a planned
 * failover the old master keeps its connections open and gives only these replies, while the
 * address already leads to the new master. Redis checks for all of them before it runs a command or
 * the first write of a script, so the command had no effect. In Redis 6, the error of a script
 * contains the reply to the command that failed in the script.
 */
const NOT_THE_MASTER =
  /(?:^|-)(?:READONLY|MASTERDOWN|LOADING|UNBLOCKED|MISCONF|NOREPLICAS|MOVED|ASK|CLUSTERDOWN|TRYAGAIN) /
/** Redis is at its `maxmemory`, or the user may not run the command. Reconnecting does not help. */
const NOT_ALLOWED = /(?:^|-)(?:OOM|NOPERM|NOAUTH) /

/** Maximum pause before the next attempt to connect, ms. */
const MAX_RECONNECT_PAUSE_MS = 1000
/** If no refusal happens for this long, the next pause is short again, ms. */
const FINE_AFTER_MS = 10_000

/** True if the error is a reply that proves that the command had no effect. */
export function wasRefused(error: unknown): boolean {
  const message = error instanceof Error ? error.message : ''
  return NOT_THE_MASTER.test(message) || NOT_ALLOWED.test(message)
}

/**
 * Decides when a connection reconnects: after it broke, and after a reply of a server that does not
 * accept writes. The first attempt follows after 50 ms. The pause grows with each failed attempt,
 * and with each new connection on which the server refuses commands again.
 *
 * @param resend true to send a refused command again on the next connection, false to let it fail
 */
export function reconnection(
  resend: boolean,
  nowMs: () => number = () => performance.now(),
): {
  retryStrategy: (attempt: number) => number
  reconnectOnError: (error: Error) => false | 1 | 2
} {
  let refusedInARow = 0
  let lastRefusedAtMs = Number.NEGATIVE_INFINITY
  let isRefused = false
  return {
    retryStrategy(attempt) {
      isRefused = false
      return Math.min(50 * Math.max(attempt, refusedInARow), MAX_RECONNECT_PAUSE_MS)
    },
    reconnectOnError({ message }) {
      if (!NOT_THE_MASTER.test(message)) return false
      // All commands that were sent on this connection are refused. They count as one refusal.
      if (!isRefused) {
        isRefused = true
        refusedInARow = nowMs() - lastRefusedAtMs > FINE_AFTER_MS ? 1 : refusedInARow + 1
        lastRefusedAtMs = nowMs()
      }
      return resend ? 2 : 1
    },
  }
}

// A host that dies sends no FIN, and the kernel takes a quarter of an hour to give up a connection
// to it. ioredis therefore drops a connection with unanswered commands on which nothing was
// received for this long (`socketTimeout`, ms). The time is longest for connections of workers,
// which then send commands again: if Redis was only frozen for a while, the commands run twice.
const FAIL_FAST_SILENCE_MS = 2500
const PATIENT_SILENCE_MS = 12_000
const READER_SILENCE_MS = 4000

/** The server to which a connection leads. */
export interface RedisTarget {
  settings: RedisSettings
  /**
   * What the keys of the connection begin with, hash tag included. In a cluster, the connection
   * leads to the master that has these keys.
   */
  prefix: string
}

/** The target for the server at an address, whatever keys it has. */
export function oneRedis(url: string): RedisTarget {
  return { settings: { kind: 'single', url }, prefix: '' }
}

/**
 * The targets of all servers that have keys: the only one, or each master of a cluster.
 *
 * @throws Error if no node of the cluster answers
 */
export async function masterTargets(target: RedisTarget): Promise<RedisTarget[]> {
  const { settings } = target
  if (settings.kind !== 'cluster') return [target]
  const { username = '', password, tls } = settings
  const scheme = tls ? 'rediss' : 'redis'
  const masters = await topologyOf(settings).masters()
  return masters.map(({ host, port }) => {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
    return oneRedis(`${scheme}://${credentials(username, password)}${address}`)
  })
}

/** How long a Sentinel may take to answer before the next one is asked, ms. */
const SENTINEL_TIMEOUT_MS = 1000

function connect(target: RedisTarget, options: ConnectionExtras): Redis {
  const redis = createConnection(target, options)
  // ioredis adds a listener for each command that is refused before the connection closes.
  return redis.on('connect', () => void redis.stream.setMaxListeners(0))
}

function createConnection({ settings, prefix }: RedisTarget, options: ConnectionExtras): Redis {
  switch (settings.kind) {
    case 'single':
      return new Redis(settings.url, options)
    case 'cluster':
      return new Redis({
        ...options,
        ...loginOf(settings),
        ...(settings.tls && { tls: {} }),
        Connector: slotConnector(settings, prefix),
      })
    case 'sentinel': {
      const { username, password } = settings.sentinelLogin
      // `failoverDetector` stays off: if a Sentinel announces a failover while ioredis is already
      // reconnecting, ioredis would give the connection up for good.
      return new Redis({
        ...options,
        ...loginOf(settings),
        sentinels: settings.sentinels.map((sentinel) => ({ ...sentinel })),
        name: settings.masterName,
        sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
        ...(username !== undefined && { sentinelUsername: username }),
        ...(password !== undefined && { sentinelPassword: password }),
        ...(settings.tls && { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }),
      })
    }
  }
}

/**
 * Creates a connection for requests of clients, which must be answered or fail quickly. Commands
 * fail while it is down, and after `commandTimeoutMs`. A command that timed out may still take
 * effect, so find out before you tell a client that it did not (facts 8 and 9 in
 * `bullmq-facts.test.ts`).
 */
export function createFailFastRedis(
  target: RedisTarget,
  commandTimeoutMs: number,
  extra: ConnectionExtras = {},
): Redis {
  return connect(target, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2000,
    // Commands time out before their connection is dropped.
    socketTimeout: Math.max(FAIL_FAST_SILENCE_MS, 2 * commandTimeoutMs),
    ...reconnection(false),
    ...extra,
  })
}

/**
 * Creates a connection for workers, whose fetches and completions must not fail. It waits for Redis
 * as long as it takes. If it breaks, it sends unanswered commands again on the next connection, so
 * they may run twice. If a replica refuses a command, it reconnects and sends the command to the
 * server that the target then leads to.
 */
export function createPatientRedis(target: RedisTarget, extra: ConnectionExtras = {}): Redis {
  return connect(target, {
    maxRetriesPerRequest: null,
    connectTimeout: 2000,
    socketTimeout: PATIENT_SILENCE_MS,
    ...reconnection(true),
    ...extra,
  })
}

/**
 * Creates a patient connection for `followStreams`. Its reads are answered within 2 s, and may run
 * twice.
 */
export function createReaderRedis(target: RedisTarget): Redis {
  return createPatientRedis(target, { socketTimeout: READER_SILENCE_MS })
}

/**
 * Destroys the socket if Redis does not reply to PING within `withinMs`. ioredis then reconnects.
 * Unanswered commands fail on a fail-fast connection, and are sent again on a patient one. Call it
 * only when another connection has just proved that Redis is up.
 */
export async function dropIfSilent(redis: Redis, withinMs: number): Promise<void> {
  const { stream } = redis
  if (redis.status !== 'ready') return
  const replied = redis.ping().catch(() => undefined)
  await withDeadline(replied, withinMs, () => stream.destroy())
}

/**
 * Reconnects the reader each time the connection that writes closes. A replica answers reads, so
 * after a failover the reader would stay connected to the old master.
 */
export function reconnectTogether(writer: Redis, reader: Redis): void {
  writer.on('close', () => {
    if (reader.status === 'ready') reader.disconnect(true)
  })
}

/**
 * Writes the commands of a connection to its socket together, after all pending promise callbacks
 * have run. One write to a socket costs as much as most commands.
 */
export function writeTogether(redis: Redis): void {
  const { stream } = redis
  if (stream === undefined || stream.writableCorked > 0) return
  stream.cork()
  // A tick that is requested in a promise callback runs after all promise callbacks, and so after
  // the commands that they send. The second tick runs after other such ticks.
  queueMicrotask(() => process.nextTick(() => process.nextTick(() => stream.uncork())))
}
