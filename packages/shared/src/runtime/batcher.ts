import { withDeadline } from './deadline.js'

export interface BatcherOptions<Item, Result> {
  /**
   * Handles the items of one batch.
   *
   * @returns one result for each item, in the order of the items. A result can be a promise that
   * outlives the batch. If `run` rejects, all calls of the batch reject with the same error
   */
  run: (items: Item[]) => Promise<readonly (Result | PromiseLike<Result>)[]>
  /**
   * Decides how long a batch gathers items. Called when a batch has its first item and may start.
   * It must call `start` later, once for each batch. `setImmediate` gathers everything that arrives
   * in this turn of the event loop, `queueMicrotask` everything that the current callback adds.
   */
  schedule: (start: () => void) => void
  /** Maximum size of a batch. An item that is larger gets a batch of its own. */
  maxSize: number
  /** The size of an item; 1 if it is left out. */
  sizeOf?: (item: Item) => number
  /**
   * Maximum number of batches that run at the same time. While they run, further items gather for
   * the next one.
   */
  maxRunning: number
}

interface PendingCall<Item, Result> {
  item: Item
  resolve: (result: Result | PromiseLike<Result>) => void
  reject: (error: unknown) => void
}

/**
 * Handles items of many callers together, as `dataloader` does: one round trip instead of one for
 * each caller. A batch contains only items that were passed in before it started, so no caller gets
 * a result that is older than its call.
 *
 * @returns a function that adds an item, and returns its result
 */
export function createBatcher<Item, Result>({
  run,
  schedule,
  maxSize,
  sizeOf = () => 1,
  maxRunning,
}: BatcherOptions<Item, Result>): (item: Item) => Promise<Result> {
  const pending: PendingCall<Item, Result>[] = []
  let isScheduled = false
  let running = 0

  function scheduleStart(): void {
    if (isScheduled || running >= maxRunning || pending.length === 0) return
    isScheduled = true
    schedule(start)
  }

  function start(): void {
    isScheduled = false
    running += 1
    void runBatch(takeBatch())
    scheduleStart()
  }

  function takeBatch(): PendingCall<Item, Result>[] {
    let size = 0
    const end = pending.findIndex(({ item }, i) => {
      size += sizeOf(item)
      return size > maxSize && i > 0
    })
    return pending.splice(0, end < 0 ? pending.length : end)
  }

  async function runBatch(batch: PendingCall<Item, Result>[]): Promise<void> {
    try {
      const results = await run(batch.map(({ item }) => item))
      batch.forEach(({ resolve }, i) => {
        resolve(results[i] as Result | PromiseLike<Result>)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      running -= 1
      scheduleStart()
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      pending.push({ item, resolve, reject })
      scheduleStart()
    })
}

/** Turns a query that finds values by key into the `run` of a batcher whose items are keys. */
export function byKey<Key, Value>(
  query: (keys: Key[]) => Promise<ReadonlyMap<Key, Value>>,
): (keys: Key[]) => Promise<(Value | undefined)[]> {
  return async (keys) => {
    const found = await query([...new Set(keys)])
    return keys.map((key) => found.get(key))
  }
}

export interface LoaderOptions<Key, Value> {
  /** Finds the values of all keys that exist. Called for one batch at a time. */
  query: (keys: Key[]) => Promise<ReadonlyMap<Key, Value>>
  /**
   * Maximum time for one query, ms. It is also the maximum time that a caller waits in total, for
   * the query that is running and for its own.
   */
  timeoutMs: number
  /** Called when that time is over; it throws what the caller gets. */
  onTimeout: () => never
}

/**
 * Looks up values by key, many callers in one query. While a query runs, further keys gather for
 * the next one, so that a thousand callers at once cost two queries.
 *
 * @returns a function that looks up one key; its result is `undefined` if there is no such key
 */
export function createLoader<Key, Value>({
  query,
  timeoutMs,
  onTimeout,
}: LoaderOptions<Key, Value>): (key: Key) => Promise<Value | undefined> {
  const load = createBatcher({
    run: byKey((keys: Key[]) => withDeadline(query(keys), timeoutMs, onTimeout)),
    schedule: queueMicrotask,
    maxSize: Number.POSITIVE_INFINITY,
    maxRunning: 1,
  })
  return (key) => withDeadline(load(key), timeoutMs, onTimeout)
}

/**
 * Gathers callbacks and calls them one after another in one `setImmediate`, after the event loop
 * has read everything that already arrived. Work that they pass to a batcher then forms one batch,
 * and what they send to Redis leaves in one write
 * (docs/decisions/0009-work-per-event-loop-turn.md).
 *
 * @returns a function that adds a callback, which must not throw
 */
export function createTurns(): (run: () => void) => void {
  let gathered: (() => void)[] = []
  function runAll(): void {
    const runs = gathered
    gathered = []
    for (const run of runs) run()
  }
  return (run) => {
    if (gathered.length === 0) setImmediate(runAll)
    gathered.push(run)
  }
}
