import { sleep } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** One stream to follow, and the last entry that was read of it. */
export interface StreamPosition {
  key: string
  /** `$` follows from now on, `0-0` from the first entry that is still there. */
  lastId: string
}

export interface FollowDeps {
  /** A connection of its own, as `createReaderRedis` makes: it blocks, and waits for Redis (no `commandTimeout`). */
  redis: Redis
  streams: StreamPosition[]
  /** Longest blocking read, ms: the reader looks up this often whether it was stopped. At most 2000. */
  blockMs: number
  /** Most entries per read and stream. */
  count: number
  onEntry: (fields: string[], key: string) => void
  onError: (error: unknown) => void
}

/** Pause after a failed read, ms. */
const RETRY_PAUSE_MS = 100
/** How often the reader checks whether the ids of a stream went back, ms. */
const LOOK_BACK_MS = 2000

type ReadReply = [key: string, entries: [id: string, fields: string[]][]][] | null

/**
 * Follows streams on one blocking connection until stopped. Unlike pub/sub, it misses nothing
 * that was written while it reconnected. It calls `onEntry`, which must not throw, with the entries in order.
 *
 * Ids of a stream are times of Redis's clock, and only grow while the stream exists. If the clock
 * was set back, a stream that expired, was flushed or was restored starts again with lower ids. The
 * reader notices this and reads such a stream from its beginning, so `onEntry` may get an entry
 * twice.
 *
 * @returns stops the reader at once and closes its connection
 */
export function followStreams(deps: FollowDeps): () => void {
  const { redis, streams, onEntry, onError } = deps
  let stopped = false
  let lookedBackAtMs = performance.now()

  async function readOnce(): Promise<void> {
    const reply = (await redis.xread(
      'COUNT',
      deps.count,
      'BLOCK',
      deps.blockMs,
      'STREAMS',
      ...streams.map((stream) => stream.key),
      ...streams.map((stream) => stream.lastId),
    )) as ReadReply
    for (const [key, entries] of reply ?? []) {
      const stream = streams.find((candidate) => candidate.key === key) as StreamPosition
      for (const [id, fields] of entries) {
        if (stopped) return
        stream.lastId = id
        onEntry(fields, key)
      }
    }
  }

  /** The last id of a stream; `0-0` if there is none. */
  async function lastIdOf(key: string): Promise<string> {
    const [last] = await redis.xrevrange(key, '+', '-', 'COUNT', 1)
    return last?.[0] ?? '0-0'
  }

  async function resolveStart(): Promise<void> {
    for (const stream of streams) {
      // `$` would be resolved anew by each read, and what came between two reads be lost.
      if (stream.lastId === '$') stream.lastId = await lastIdOf(stream.key)
    }
  }

  async function lookBack(): Promise<void> {
    if (performance.now() - lookedBackAtMs < LOOK_BACK_MS) return
    const lastIds = await Promise.all(streams.map(({ key }) => lastIdOf(key)))
    for (const [i, stream] of streams.entries()) {
      if (isBefore(lastIds[i] as string, stream.lastId)) stream.lastId = '0-0'
    }
    lookedBackAtMs = performance.now()
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        await resolveStart()
        await lookBack()
        await readOnce()
      } catch (error) {
        if (stopped) return
        onError(error)
        await sleep(RETRY_PAUSE_MS)
      }
    }
  }

  void run()
  return () => {
    stopped = true
    // Not waited for: ioredis never settles a read that is queued while it waits to reconnect.
    redis.disconnect()
  }
}

/** True if a stream id is lower than another one. Both parts of an id have up to 64 bits. */
export function isBefore(id: string, other: string): boolean {
  const [ms = 0n, sequence = 0n] = id.split('-').map(BigInt)
  const [otherMs = 0n, otherSequence = 0n] = other.split('-').map(BigInt)
  return ms === otherMs ? sequence < otherSequence : ms < otherMs
}
