import { Redis, type RedisOptions } from 'ioredis'

/** What a caller may add to a profile. */
export type ConnectionExtras = Omit<RedisOptions, 'replyMapping'>

/**
 * Replies by which a server says that it does not take writes, or no longer. After a planned
 * failover the old master keeps its connections open and only answers like this, while the address
 * already leads to the new master. Redis checks for all of them before it runs a command or the
 * first write of a script, so the command had no effect. In Redis 6, the error of a script contains
 * the reply of the command within it.
 */
const NOT_THE_MASTER =
  /(?:^|-)(?:READONLY|MASTERDOWN|LOADING|UNBLOCKED|MISCONF|NOREPLICAS|MOVED|ASK|CLUSTERDOWN|TRYAGAIN) /
/**
 * Redis is at its `maxmemory`, or the user may not use a command. Another connection would not
 * help.
 */
const NOT_ALLOWED = /(?:^|-)(?:OOM|NOPERM|NOAUTH) /

/**
 * Longest pause before the next attempt to connect, ms: a Redis that comes back is found at once.
 */
const MAX_RECONNECT_PAUSE_MS = 1000
/** After this long without a refusal, pauses start short again, ms. */
const FINE_AFTER_MS = 10_000

/** True if this error is a reply which says that the command was certainly not carried out. */
export function wasRefused(error: unknown): boolean {
  const message = error instanceof Error ? error.message : ''
  return NOT_THE_MASTER.test(message) || NOT_ALLOWED.test(message)
}

/**
 * Decides when a connection connects again: after it broke, and after a reply by which the server
 * says that it does not take writes. The first attempt follows after 50 ms. Pauses also grow while
 * each new connection is refused like the last one.
 *
 * @param resend whether a refused command is sent again on the next connection instead of failing
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
      // Everything that was sent on this connection is refused, and counts as one refusal.
      if (!isRefused) {
        isRefused = true
        refusedInARow = nowMs() - lastRefusedAtMs > FINE_AFTER_MS ? 1 : refusedInARow + 1
        lastRefusedAtMs = nowMs()
      }
      return resend ? 2 : 1
    },
  }
}

// A host that dies sends no FIN, and the kernel takes a quarter of an hour to give up connections to it. So a connection is
// dropped where commands are pending and nothing at all was received for so long (ioredis' `socketTimeout`). Shorter
// where little is lost with a Redis that only stood still for a while, longest where commands are sent twice then.
const FAIL_FAST_SILENCE_MS = 2500
const PATIENT_SILENCE_MS = 12_000
const READER_SILENCE_MS = 4000

/**
 * A connection that answers or fails at once: commands are refused while it is down and given up after
 * `commandTimeoutMs`. What it gave up may still have been carried out: ask before telling anybody it was not.
 * For everything a client waits for (facts 8 and 9 in `bullmq-facts.test.ts`).
 */
export function createFailFastRedis(
  url: string,
  commandTimeoutMs: number,
  extra: ConnectionExtras = {},
): Redis {
  return new Redis(url, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2000,
    // A command is given up before its connection is.
    socketTimeout: Math.max(FAIL_FAST_SILENCE_MS, 2 * commandTimeoutMs),
    ...reconnection(false),
    ...extra,
  })
}

/**
 * A connection that waits for Redis as long as it takes, for workers, whose fetches and completions
 * must not fail. Commands that were unanswered when it broke are sent again, so they may be carried
 * out twice. Commands that a replica refused are sent again to the server that the address leads to
 * by then.
 */
export function createPatientRedis(url: string, extra: ConnectionExtras = {}): Redis {
  return new Redis(url, {
    maxRetriesPerRequest: null,
    connectTimeout: 2000,
    socketTimeout: PATIENT_SILENCE_MS,
    ...reconnection(true),
    ...extra,
  })
}

/** A patient connection for `followStreams`, whose reads are answered within 2 s and may be sent twice. */
export function createReaderRedis(url: string): Redis {
  return createPatientRedis(url, { socketTimeout: READER_SILENCE_MS })
}

/**
 * Drops a connection that does not answer within `withinMs`; it connects anew and does as its profile says with what was
 * unanswered. For those who know that Redis answers others.
 */
export async function dropIfSilent(redis: Redis, withinMs: number): Promise<void> {
  const { stream } = redis
  if (redis.status !== 'ready') return
  let answered = false
  const timer = setTimeout(() => {
    // Where this process itself was held up, the reply may already be here and is taken in first.
    setImmediate(() => answered || stream.destroy())
  }, withinMs)
  await redis.ping().catch(() => undefined)
  answered = true
  clearTimeout(timer)
}

/**
 * Reconnects a reader each time the connection that writes closes. Reading works on a replica, so a
 * reader would otherwise stay connected to the old master after a failover.
 */
export function reconnectTogether(writer: Redis, reader: Redis): void {
  writer.on('close', () => {
    if (reader.status === 'ready') reader.disconnect(true)
  })
}

/** Lua: defines `now_ms()`, milliseconds since 1970 on Redis's clock, which all processes share. */
export const REDIS_NOW = `local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`

/**
 * Lua: keeps what the script writes from here on out of the append-only file. Redis flushes that
 * file to disk before it answers anybody. Replicas still get the writes.
 */
export const UNLOGGED = 'redis.set_repl(redis.REPL_REPLICA)'

/**
 * Registers a Lua script on a connection. Where `numberOfKeys` is undefined, each run names it first.
 * @returns runs it: its keys, then its arguments
 */
export function defineScript(
  redis: Redis,
  name: string,
  numberOfKeys: number | undefined,
  lua: string,
): (...args: (string | number)[]) => Promise<unknown> {
  redis.defineCommand(name, numberOfKeys === undefined ? { lua } : { numberOfKeys, lua })
  const run = (
    redis as unknown as Record<string, (...args: (string | number)[]) => Promise<unknown>>
  )[name]
  return (run as (...args: (string | number)[]) => Promise<unknown>).bind(redis)
}

/**
 * Gathers what is sent on a connection in this moment, up to the end of the promise callbacks at hand, into one write to
 * the socket: a write costs as much as most commands.
 */
export function writeTogether(redis: Redis): void {
  const { stream } = redis
  if (stream === undefined || stream.writableCorked > 0) return
  stream.cork()
  // A tick asked for in a promise callback runs once none is left, so behind everything that they send; the second tick,
  // behind what others have put off in the same way.
  queueMicrotask(() => process.nextTick(() => process.nextTick(() => stream.uncork())))
}
