import type { Clock } from '@ticket-line/shared'

/** Maximum number of requests to an endpoint at the same time, in this process. */
const MAX_REQUESTS = 20
/** After this many failures in a row, an endpoint is down. It then gets one request at a time. */
const DOWN_AFTER = 3
/** Pause after each failure of an endpoint that is down, ms. */
const DOWN_PAUSE_MS = 1000
/**
 * How soon an endpoint with a backlog gets more jobs if fewer than half of its slots are free, ms.
 */
const REFILL_EVERY_MS = 250

interface EndpointState {
  requests: number
  failuresInARow: number
  /** Nothing is sent before this time of the steady clock, ms. */
  pausedUntilMs: number
  /** True if the endpoint may have due cursors without a job. They get jobs when slots are free. */
  isBacklogged: boolean
  /** Set while a backlog waits for free slots. */
  timer: NodeJS.Timeout | undefined
}

/** Limits the requests to each endpoint, so that a slow one never delays the others. */
export interface Slots {
  /** Takes a slot. @returns false if the endpoint has none free, or is paused */
  enter(webhookId: string): boolean
  /** Returns a slot. */
  leave(webhookId: string): void
  /** @returns how many of these jobs may be added now; the others are its backlog */
  admit(webhookId: string, jobs: number): number
  /** Called if an endpoint may have due cursors without a job. */
  backlogged(webhookId: string): void
  succeeded(webhookId: string): void
  /** @param pauseMs how long to send nothing to the endpoint, ms */
  failed(webhookId: string, pauseMs: number): void
  /** Forgets the failures and the pause of an endpoint, and calls `onFree` for its backlog. */
  reset(webhookId: string): void
  /** The number of requests that are under way. */
  count(): number
}

/**
 * @param onFree Called when an endpoint with a backlog has free slots, with their number.
 */
export function createSlots(
  onFree: (webhookId: string, slots: number) => void,
  clock: Clock,
): Slots {
  const states = new Map<string, EndpointState>()
  let requests = 0

  function stateOf(webhookId: string): EndpointState {
    let state = states.get(webhookId)
    if (state === undefined) {
      state = {
        requests: 0,
        failuresInARow: 0,
        pausedUntilMs: 0,
        isBacklogged: false,
        timer: undefined,
      }
      states.set(webhookId, state)
    }
    return state
  }

  const slotsOf = ({ failuresInARow }: EndpointState): number =>
    failuresInARow < DOWN_AFTER ? MAX_REQUESTS : 1

  const isPaused = ({ pausedUntilMs }: EndpointState): boolean => clock.steadyMs() < pausedUntilMs

  const freeSlots = (state: EndpointState): number =>
    isPaused(state) ? 0 : Math.max(0, slotsOf(state) - state.requests)

  /**
   * Calls `onFree` if the endpoint has a backlog: now if enough slots are free, otherwise later.
   */
  function refill(webhookId: string, state: EndpointState, enough: number): void {
    if (!state.isBacklogged) return
    const free = freeSlots(state)
    if (free < enough) {
      const waitMs = Math.max(state.pausedUntilMs - clock.steadyMs(), REFILL_EVERY_MS)
      state.timer ??= setTimeout(() => {
        state.timer = undefined
        refill(webhookId, state, 1)
      }, waitMs).unref()
      return
    }
    clearTimeout(state.timer)
    state.timer = undefined
    state.isBacklogged = false
    onFree(webhookId, free)
  }

  function markBacklog(webhookId: string, state: EndpointState): void {
    state.isBacklogged = true
    // No number of free slots is enough, so this only sets the timer. If it called `onFree` at
    // once, a backlog that another process works off would make a busy loop.
    refill(webhookId, state, Number.POSITIVE_INFINITY)
  }

  function forgetIfIdle(webhookId: string, state: EndpointState): void {
    if (state.requests > 0 || state.failuresInARow > 0 || state.isBacklogged) return
    if (!isPaused(state)) states.delete(webhookId)
  }

  return {
    enter(webhookId) {
      const state = stateOf(webhookId)
      if (freeSlots(state) === 0) {
        markBacklog(webhookId, state)
        return false
      }
      state.requests += 1
      requests += 1
      return true
    },
    leave(webhookId) {
      const state = stateOf(webhookId)
      state.requests -= 1
      requests -= 1
      refill(webhookId, state, slotsOf(state) / 2)
      forgetIfIdle(webhookId, state)
    },
    admit(webhookId, jobs) {
      const state = stateOf(webhookId)
      const admitted = state.isBacklogged || isPaused(state) ? 0 : Math.min(jobs, MAX_REQUESTS)
      if (admitted < jobs) markBacklog(webhookId, state)
      return admitted
    },
    backlogged: (webhookId) => markBacklog(webhookId, stateOf(webhookId)),
    succeeded(webhookId) {
      stateOf(webhookId).failuresInARow = 0
    },
    failed(webhookId, pauseMs) {
      const state = stateOf(webhookId)
      state.failuresInARow += 1
      const downPauseMs = state.failuresInARow < DOWN_AFTER ? 0 : DOWN_PAUSE_MS
      const untilMs = clock.steadyMs() + Math.max(pauseMs, downPauseMs)
      state.pausedUntilMs = Math.max(state.pausedUntilMs, untilMs)
    },
    reset(webhookId) {
      const state = stateOf(webhookId)
      state.failuresInARow = 0
      state.pausedUntilMs = 0
      state.isBacklogged = true
      refill(webhookId, state, 1)
    },
    count: () => requests,
  }
}
