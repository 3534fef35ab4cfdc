import { AppError } from '@ticket-line/shared'

export interface GateOptions {
  /** Tasks that run at once. */
  running: number
  /** Callers that may wait for their turn. */
  waiting: number
  /** Longest wait for a turn, ms. */
  waitMs: number
}

/** Lets few tasks run at once and few wait, and turns the others away. */
export interface Gate {
  /** @throws AppError `busy` where the queue is full, or the turn did not come in time; else what the task throws */
  run<T>(task: () => Promise<T>): Promise<T>
}

export function createGate({ running, waiting, waitMs }: GateOptions): Gate {
  const queue = new Set<() => void>()
  let free = running

  function turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = (): void => {
        clearTimeout(timer)
        queue.delete(start)
        resolve()
      }
      const timer = setTimeout(() => {
        queue.delete(start)
        reject(busy())
      }, waitMs)
      queue.add(start)
    })
  }

  /** Hands the place to the first who waits; it counts as taken all the while. */
  function leave(): void {
    const [next] = queue
    if (next === undefined) free++
    else next()
  }

  return {
    async run(task) {
      if (free > 0) free--
      else if (queue.size >= waiting) throw busy()
      else await turn()
      try {
        return await task()
      } finally {
        leave()
      }
    },
  }
}

function busy(): AppError {
  return new AppError('busy', 'Too many people are signing in right now, please try again in a moment.', {
    headers: { 'Retry-After': '2' },
  })
}
