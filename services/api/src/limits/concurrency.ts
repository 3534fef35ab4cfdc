import { busy } from '../http/problem.js'

/** Allows at most `max` of something at once. */
export interface ConcurrencyLimit {
  /** Takes a place. Returns false if none is free. */
  enter(): boolean
  /** Gives a place back. */
  leave(): void
  /** Takes a place even if none is free, for something that had one before. */
  enterAgain(): void
  /** Number of places that are taken. */
  count(): number
}

export function createConcurrencyLimit(max: number): ConcurrencyLimit {
  let count = 0
  return {
    enter() {
      if (count >= max) return false
      count++
      return true
    },
    leave: () => void count--,
    enterAgain: () => void count++,
    count: () => count,
  }
}

/**
 * Runs a call that waits for something. While it waits, it counts as a long poll and not as a
 * request.
 *
 * @throws AppError `busy` if this process has as many long polls as it may have
 */
export async function asLongPoll<T>(
  { requests, longPolls }: { requests: ConcurrencyLimit; longPolls: ConcurrencyLimit },
  wait: () => Promise<T>,
): Promise<T> {
  if (!longPolls.enter())
    throw busy('Too many clients are waiting. Please ask without waiting.', 'process_waits')
  requests.leave()
  try {
    return await wait()
  } finally {
    longPolls.leave()
    requests.enterAgain()
  }
}

export interface FairLimitOptions {
  /** Tasks that run at once. */
  running: number
  /** Tasks that may be queued. */
  queued: number
  /** How long a task may be queued, ms. */
  maxQueuedMs: number
  /** Creates the error of a task that is refused. */
  refusal: () => Error
}

/**
 * Limits how many tasks run at once and how many are queued, and shares both fairly between
 * callers. Callers take turns. If the queue is full, the newest task of the caller with the most
 * queued tasks is refused. A single caller may use everything that no other caller needs.
 */
export interface FairLimit {
  /**
   * Runs a task when it is the caller's turn.
   *
   * @param caller the address under which the task is counted
   * @throws the refusal if the queue is full or the turn did not come in time; otherwise what the
   * task throws
   */
  run<T>(caller: string, task: () => Promise<T>): Promise<T>
}

interface QueuedTask {
  start(): void
  refuse(): void
}

export function createFairLimit({
  running,
  queued,
  maxQueuedMs,
  refusal,
}: FairLimitOptions): FairLimit {
  const limit = createConcurrencyLimit(running)
  /** Queued tasks by caller. The caller whose turn is next comes first. No list is empty. */
  const queues = new Map<string, QueuedTask[]>()
  let queuedNow = 0

  function dequeue(caller: string, task: QueuedTask): void {
    const queue = queues.get(caller) ?? []
    queue.splice(queue.indexOf(task), 1)
    if (queue.length === 0) queues.delete(caller)
    queuedNow--
  }

  /** Queues a task. Resolves when it may start. */
  function enqueue(caller: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const task: QueuedTask = {
        start() {
          clearTimeout(timer)
          dequeue(caller, task)
          resolve()
        },
        refuse() {
          clearTimeout(timer)
          dequeue(caller, task)
          reject(refusal())
        },
      }
      const timer = setTimeout(task.refuse, maxQueuedMs)
      const queue = queues.get(caller)
      if (queue === undefined) queues.set(caller, [task])
      else queue.push(task)
      queuedNow++
    })
  }

  /** @throws the refusal if no other caller has more queued tasks than this caller would have */
  function makeRoom(caller: string): void {
    const own = queues.get(caller)?.length ?? 0
    let longest: QueuedTask[] = []
    for (const queue of queues.values()) if (queue.length > longest.length) longest = queue
    if (longest.length <= own + 1) throw refusal()
    longest.at(-1)?.refuse()
  }

  /** Passes the place on to the first task of the next caller, or frees it if nothing is queued. */
  function leave(): void {
    const [next] = queues
    if (next === undefined) {
      limit.leave()
      return
    }
    const [caller, queue] = next
    queue[0]?.start()
    // The caller has had its turn. If it has more tasks, it moves to the end.
    if (queues.delete(caller)) queues.set(caller, queue)
  }

  return {
    async run(caller, task) {
      if (!limit.enter()) {
        if (queuedNow >= queued) makeRoom(caller)
        await enqueue(caller)
      }
      try {
        return await task()
      } finally {
        leave()
      }
    },
  }
}
