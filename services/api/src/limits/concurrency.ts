import { AppError } from '@ticket-line/shared'

export interface GateOptions {
  /** Tasks that run at once. */
  running: number
  /** Callers that may wait for their turn. */
  waiting: number
  /** Longest wait for a turn, ms. */
  waitMs: number
}

/**
 * Limits how many tasks run at once and how many wait, and shares both fairly between callers.
 * Callers take turns. If all waiting places are taken, the caller that holds most of them loses its
 * newest one. A single caller may use everything that no other caller needs.
 */
export interface Gate {
  /**
   * @param caller the address for which the place counts
   * @throws AppError `busy` if there is no place or the turn did not come in time; else what the
   * task throws
   */
  run<T>(caller: string, task: () => Promise<T>): Promise<T>
}

interface Waiting {
  start(): void
  refuse(): void
}

export function createGate({ running, waiting, waitMs }: GateOptions): Gate {
  /** Waiting tasks by caller. The caller whose turn is next comes first. No queue is empty. */
  const queues = new Map<string, Waiting[]>()
  let waitingNow = 0
  let free = running

  function leaveQueue(caller: string, entry: Waiting): void {
    const queue = queues.get(caller) ?? []
    queue.splice(queue.indexOf(entry), 1)
    if (queue.length === 0) queues.delete(caller)
    waitingNow--
  }

  function turn(caller: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiting = {
        start() {
          clearTimeout(timer)
          leaveQueue(caller, entry)
          resolve()
        },
        refuse() {
          clearTimeout(timer)
          leaveQueue(caller, entry)
          reject(busy())
        },
      }
      const timer = setTimeout(entry.refuse, waitMs)
      const queue = queues.get(caller)
      if (queue === undefined) queues.set(caller, [entry])
      else queue.push(entry)
      waitingNow++
    })
  }

  /** @throws AppError `busy` if no other caller holds more waiting places than this caller would */
  function makeRoom(caller: string): void {
    const own = queues.get(caller)?.length ?? 0
    let longest: Waiting[] = []
    for (const queue of queues.values()) if (queue.length > longest.length) longest = queue
    if (longest.length <= own + 1) throw busy()
    longest.at(-1)?.refuse()
  }

  /**
   * Gives the place to the first task of the next caller, without counting it as free in between.
   */
  function leave(): void {
    const [next] = queues
    if (next === undefined) {
      free++
      return
    }
    const [caller, queue] = next
    queue[0]?.start()
    // The caller has had its turn, so it goes to the back.
    if (queues.delete(caller)) queues.set(caller, queue)
  }

  return {
    async run(caller, task) {
      if (free > 0) free--
      else {
        if (waitingNow >= waiting) makeRoom(caller)
        await turn(caller)
      }
      try {
        return await task()
      } finally {
        leave()
      }
    },
  }
}

function busy(): AppError {
  return new AppError(
    'busy',
    'Too many people are signing in right now, please try again in a moment.',
    {
      headers: { 'Retry-After': '2' },
    },
  )
}
