import { createEventHeap } from './event-heap.ts'

/**
 * Time of a simulation: a heap of events, each of which belongs to a process. Events of a dead
 * process are skipped, and those of a frozen process wait until it resumes. All promises settle
 * between two events, so that a run depends on its seed only.
 */
export interface Clock {
  /** In whole milliseconds, as the product expects. */
  now(): number
  /** With the fraction, for times that must keep an order. */
  exactNow(): number
  /**
   * Runs something in a process after a delay, in milliseconds.
   * @returns a function that cancels it
   */
  after(delayMs: number, process: SimProcess, run: () => void): () => void
  /** Runs something now. Timers that it starts belong to the process. */
  as<T>(process: SimProcess, run: () => T): T
  /** The process whose event is running. */
  current(): SimProcess
  /** Runs all events of the next `forMs` milliseconds. */
  run(forMs: number): Promise<void>
}

export interface SimProcess {
  name: string
  alive: boolean
  frozenUntilMs: number
  /** True if it runs code of the product, whose promises must settle before the next event. */
  product: boolean
}

export function createProcess(name: string, product = false): SimProcess {
  return { name, alive: true, frozenUntilMs: 0, product }
}

interface Event {
  atMs: number
  order: number
  process: SimProcess
  run: (() => void) | undefined
}

/** The time at which every simulation starts, ms since 1970. */
export const START_MS = 1_785_000_000_000
const { nextTick } = process

/**
 * Runs something when all promises of the product have settled: all microtasks run before the next
 * tick, and a tick that is requested in a microtask comes after them. What the product itself
 * defers to the next tick, such as the wake-up after an add, runs at about the same time. A turn of
 * the event loop would work as well, but takes several times as long.
 */
function whenSettled(run: () => void): void {
  queueMicrotask(() => nextTick(run))
}

export function createClock(): Clock {
  const heap = createEventHeap<Event>()
  const world = createProcess('world')
  let nowMs = START_MS
  let order = 0
  let current = world

  /** @returns whether promises must settle before the next event */
  function handle(event: Event): boolean {
    const { process, run } = event
    if (run === undefined || !process.alive) return false
    if (process.frozenUntilMs > nowMs) {
      // The order number stays: a resumed process handles its events in the order of their arrival.
      event.atMs = process.frozenUntilMs
      heap.push(event)
      return false
    }
    current = process
    run()
    if (!process.product) current = world
    return process.product
  }

  function runUntil(untilMs: number, resolve: () => void, reject: (error: unknown) => void): void {
    function step(): void {
      current = world
      try {
        for (
          let next = heap.first();
          next !== undefined && next.atMs <= untilMs;
          next = heap.first()
        ) {
          heap.pop()
          nowMs = Math.max(nowMs, next.atMs)
          if (!handle(next)) continue
          whenSettled(step)
          return
        }
        nowMs = untilMs
        resolve()
      } catch (error) {
        reject(error)
      }
    }
    step()
  }

  return {
    now: () => Math.floor(nowMs),
    exactNow: () => nowMs,
    after(delayMs, process, run) {
      const event: Event = { atMs: nowMs + Math.max(delayMs, 0), order: order++, process, run }
      heap.push(event)
      return () => {
        event.run = undefined
      }
    },
    current: () => current,
    as(process, run) {
      const before = current
      current = process
      try {
        return run()
      } finally {
        current = before
      }
    },
    run: (forMs) => new Promise((resolve, reject) => runUntil(nowMs + forMs, resolve, reject)),
  }
}
