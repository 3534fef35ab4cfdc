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

type ReadReply = [key: string, entries: [id: string, fields: string[]][]][] | null

/**
 * Follows streams on one blocking connection until stopped. Unlike pub/sub it goes on where it was after a reconnect.
 * Entries are handed over in order; `onEntry` must not throw.
 * @returns stops the reader at once and closes its connection
 */
export function followStreams(deps: FollowDeps): () => void {
  const { redis, streams, onEntry, onError } = deps
  let stopped = false

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

  async function resolveStart(): Promise<void> {
    for (const stream of streams) {
      if (stream.lastId !== '$') continue
      // `$` would be resolved anew by each read, and what came between two reads be lost.
      const [last] = (await redis.xrevrange(stream.key, '+', '-', 'COUNT', 1)) as [
        id: string,
        fields: string[],
      ][]
      stream.lastId = last?.[0] ?? '0-0'
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      try {
        await resolveStart()
        await readOnce()
      } catch (error) {
        if (stopped) return
        onError(error)
        await new Promise((resolve) => setTimeout(resolve, 100))
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
