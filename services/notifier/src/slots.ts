import type { Clock } from '@ticket-line/shared'

/** Maximum number of requests to an endpoint at the same time, in this process. */
const MAX_REQUESTS = 20
/** After this many failures in a row, an endpoint counts as down. */
const DOWN_AFTER = 3
/** An endpoint that is down gets one request at a time, and pauses between them, ms. */
const DOWN_PAUSE_MS = 1000

interface EndpointState {
  requests: number
  failuresInARow: number
  /** Nothing is sent before this time of the steady clock, ms. */
  pausedUntilMs: number
  /** True if a job was turned away. The endpoint then gets more work when it has a free slot. */
  isBacklogged: boolean
  timer: NodeJS.Timeout | undefined
}

/** Limits the requests to each endpoint, so that a slow one never delays the others. */
export interface Slots {
  /** Takes a slot. @returns false if the endpoint has none free, or is paused */
  enter(webhookId: string): boolean
  /** Returns a slot. */
  leave(webhookId: string): void
  /** True if the endpoint has a free slot and no backlog, so that it can get more work. */
  isFree(webhookId: string): boolean
  succeeded(webhookId: string): void
  /** @param pauseMs how long to send nothing to the endpoint, ms */
  failed(webhookId: string, pauseMs: number): void
  /** Forgets failures and pauses of an endpoint. */
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

  function freeSlots({ requests, failuresInARow, pausedUntilMs }: EndpointState): number {
    if (clock.steadyMs() < pausedUntilMs) return 0
    return (failuresInARow < DOWN_AFTER ? MAX_REQUESTS : 1) - requests
  }

  /** Asks for more work if there is a backlog: now, or when the pause is over. */
  function refill(webhookId: string, state: EndpointState): void {
    if (!state.isBacklogged || state.timer !== undefined) return
    const waitMs = state.pausedUntilMs - clock.steadyMs()
    if (waitMs > 0) {
      state.timer = setTimeout(() => {
        state.timer = undefined
        refill(webhookId, state)
      }, waitMs)
      state.timer.unref()
      return
    }
    const free = freeSlots(state)
    if (free <= 0) return
    state.isBacklogged = false
    onFree(webhookId, free)
  }

  function forgetIfIdle(webhookId: string, state: EndpointState): void {
    if (state.requests > 0 || state.failuresInARow > 0 || state.isBacklogged) return
    if (clock.steadyMs() >= state.pausedUntilMs) states.delete(webhookId)
  }

  return {
    enter(webhookId) {
      const state = stateOf(webhookId)
      if (freeSlots(state) <= 0) {
        state.isBacklogged = true
        refill(webhookId, state)
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
      refill(webhookId, state)
      forgetIfIdle(webhookId, state)
    },
    isFree(webhookId) {
      const state = states.get(webhookId)
      return state === undefined || (!state.isBacklogged && freeSlots(state) > 0)
    },
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
      clearTimeout(state.timer)
      state.timer = undefined
      state.isBacklogged = true
      refill(webhookId, state)
    },
    count: () => requests,
  }
}
