import { sleep } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { LineRedis } from './line-redis.js'

export interface FollowedStream {
  key: string
  /**
   * Id of the last entry that was read. `$` begins with the next entry that is added, `0-0` with
   * the oldest entry that the stream still has.
   */
  lastId: string
}

export interface FollowOptions {
  /** A connection from `createReaderRedis` that nothing else uses, because reads block it. */
  redis: Redis
  streams: FollowedStream[]
  /** Maximum time that a read waits for an entry, ms. It must not exceed 2000. */
  blockMs: number
  /** Maximum number of entries of each stream in one read. */
  count: number
  /** Called with the fields of each entry, in order. It must not throw. */
  onEntry: (fields: string[]) => void
  /** Called with the error of each read that failed. */
  onError: (error: unknown) => void
  /** Called when streams that begin with `$` have an id: no entry is missed from now on. */
  onStart?: () => void
}

/** Options for following one stream in each shard. */
export interface FollowShardsOptions extends Omit<FollowOptions, 'redis' | 'streams'> {
  /** The key of the stream in the shard with a prefix. */
  keyOf: (prefix: string) => string
  lastId: FollowedStream['lastId']
}

/**
 * Follows a stream in each shard, with a blocking read on each connection. In a cluster, a read may
 * name only keys of one slot.
 *
 * @param readers connections that nothing else uses
 * @returns a function that stops it at once and closes the connections
 */
export function followShards(
  readers: LineRedis,
  { keyOf, lastId, ...options }: FollowShardsOptions,
): () => void {
  const stops = readers.connections.map(({ redis, prefixes }) => {
    const streams = prefixes.map((prefix) => ({ key: keyOf(prefix), lastId }))
    return followStreams({ ...options, redis, streams })
  })
  return () => {
    for (const stop of stops) stop()
  }
}

/** How often the reader checks whether a stream has started again with lower ids, ms. */
const CHECK_IDS_EVERY_MS = 2000
/** Pause after a read that failed, ms. */
const PAUSE_MS = 100

type ReadReply = [key: string, entries: [id: string, fields: string[]][]][] | null

/**
 * Follows streams on one blocking connection. Unlike pub/sub, it misses nothing that was written
 * while it reconnected.
 *
 * The ids of a stream contain the time by the clock of Redis. They grow for as long as the stream
 * exists. If the clock was set back, a stream that expired, was flushed or was restored starts
 * again with lower ids. The reader then reads such a stream from its beginning, so `onEntry` may
 * get an entry twice.
 *
 * @returns a function that stops at once and closes the connection
 */
export function followStreams(options: FollowOptions): () => void {
  const { redis, streams, onEntry, onError } = options
  let started = false
  let stopped = false
  let checkedIdsAtMs = performance.now()

  async function readOnce(): Promise<void> {
    const reply = (await redis.xread(
      'COUNT',
      options.count,
      'BLOCK',
      options.blockMs,
      'STREAMS',
      ...streams.map((stream) => stream.key),
      ...streams.map((stream) => stream.lastId),
    )) as ReadReply
    for (const [key, entries] of reply ?? []) {
      const stream = streams.find((candidate) => candidate.key === key) as FollowedStream
      for (const [id, fields] of entries) {
        if (stopped) return
        stream.lastId = id
        onEntry(fields)
      }
    }
  }

  /** The last id of a stream; `0-0` if it has no entry. */
  async function lastIdOf(key: string): Promise<string> {
    const [last] = await redis.xrevrange(key, '+', '-', 'COUNT', 1)
    return last?.[0] ?? '0-0'
  }

  /**
   * Replaces `$` with an id. Otherwise each read would resolve `$` again, and entries that are
   * added between two reads would be lost.
   */
  async function resolveStart(): Promise<void> {
    for (const stream of streams) {
      if (stream.lastId === '$') stream.lastId = await lastIdOf(stream.key)
    }
    if (!started) options.onStart?.()
    started = true
  }

  async function checkIds(): Promise<void> {
    if (performance.now() - checkedIdsAtMs < CHECK_IDS_EVERY_MS) return
    const lastIds = await Promise.all(streams.map(({ key }) => lastIdOf(key)))
    for (const [i, stream] of streams.entries()) {
      if (isBefore(lastIds[i] as string, stream.lastId)) stream.lastId = '0-0'
    }
    checkedIdsAtMs = performance.now()
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        await resolveStart()
        await checkIds()
        await readOnce()
      } catch (error) {
        if (stopped) return
        onError(error)
        await sleep(PAUSE_MS)
      }
    }
  }

  void run()
  return () => {
    stopped = true
    // `run` is not awaited: ioredis never settles a read that is queued while it reconnects.
    redis.disconnect()
  }
}

/** True if a stream id is lower than another one. Both parts of an id have up to 64 bits. */
export function isBefore(id: string, other: string): boolean {
  const [ms = 0n, sequence = 0n] = id.split('-').map(BigInt)
  const [otherMs = 0n, otherSequence = 0n] = other.split('-').map(BigInt)
  return ms === otherMs ? sequence < otherSequence : ms < otherMs
}
