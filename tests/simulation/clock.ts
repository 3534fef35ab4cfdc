import { createEventHeap } from './event-heap.ts'

/**
 * Time of a simulation: a heap of events. Everything that happens is an event of some process;
 * events of a dead process are passed over, those of a frozen one wait until it wakes up. Between
 * two events all promises settle, so that a run depends on its seed alone.
 */
export interface Clock {
  /** Whole milliseconds, as product code wants them. */
  now(): number
  /** The time with its fraction, for what must keep an order. */
  exactNow(): number
  /** Runs something in a process after a delay. @returns takes it back */
  after(delayMs: number, process: SimProcess, run: () => void): () => void
  /** Runs something now as that process: timers that it starts are the process's own. */
  as<T>(process: SimProcess, run: () => T): T
  /** The process whose event is being handled. */
  current(): SimProcess
  /** Lets time pass. */
  run(forMs: number): Promise<void>
}

export interface SimProcess {
  name: string
  alive: boolean
  frozenUntilMs: number
  /** It runs product code, whose promises must settle before anything else happens. */
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

/** When every simulation begins. */
export const START_MS = 1_785_000_000_000
const { nextTick } = process

/**
 * Runs something once all promises of product code have settled: microtasks all run before the next
 * tick does, and a tick that is asked for in one of them comes behind them. What product code
 * itself puts off to a tick (the note behind an add) runs about then. A turn of the event loop
 * would do as well and takes several times as long.
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

  /** Handles an event. @returns whether something has to settle before the next */
  function handle(event: Event): boolean {
    const { process, run } = event
    if (run === undefined || !process.alive) return false
    if (process.frozenUntilMs > nowMs) {
      // The order number is kept: it wakes up to its events in the order in which they came.
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
