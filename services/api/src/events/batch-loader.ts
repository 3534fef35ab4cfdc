/** Looks values up by key, many callers in one query. */
export interface BatchLoader<V, K = number> {
  /** The value, or `undefined` where the key is unknown. Rejects where the query failed or took too long. */
  load(key: K): Promise<V | undefined>
}

export interface BatchLoaderOptions<V, K = number> {
  /** One query for all keys. */
  query: (keys: K[]) => Promise<Map<K, V>>
  /** Longest that a query may take, and that a caller waits for it and the one before it. */
  timeoutMs: number
  /** The error of those who waited so long. */
  onTimeout: () => Error
}

interface Batch<V, K> {
  keys: Set<K>
  promise: Promise<Map<K, V>>
}

/**
 * One query at a time, and each serves everybody who asked before it began: those who ask while one runs go together
 * in the next. So no caller sees a state older than his own question, and a thousand callers cost two queries.
 *
 * A batch *gathers* until the query before it is over, then *runs*; whoever comes after that gathers in a new one.
 */
export function createBatchLoader<V, K = number>({
  query,
  timeoutMs,
  onTimeout,
}: BatchLoaderOptions<V, K>): BatchLoader<V, K> {
  let running: Promise<unknown> = Promise.resolve()
  let gathering: Batch<V, K> | undefined

  function gather(): Batch<V, K> {
    const keys = new Set<K>()
    const promise = running.then(() => {
      gathering = undefined
      return withDeadline(query([...keys]), timeoutMs, onTimeout)
    })
    running = promise.catch(() => undefined)
    return { keys, promise }
  }

  return {
    async load(key) {
      gathering ??= gather()
      gathering.keys.add(key)
      // Who comes while a query runs waits for that one and his own, and for both no longer than for one.
      return (await withDeadline(gathering.promise, timeoutMs, onTimeout)).get(key)
    },
  }
}

/** The promise, or a rejection once the time is over. The work itself goes on. */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  onTimeout: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    // If the event loop was blocked, the answer may already be here: setImmediate lets it win.
    timer = setTimeout(() => setImmediate(() => reject(onTimeout())), timeoutMs)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
