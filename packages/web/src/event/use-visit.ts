import { type AnyDecision, hasCode } from '@ticket-line/client'
import { useEffect, useReducer, useRef } from 'preact/hooks'
import { client, newIdempotencyKey } from '../api.js'
import { serverClock } from '../clock.js'
import { useSession, withSession } from '../session/index.js'
import type { Live } from '../use-live.js'
import {
  type CommandAction,
  type CommandStorage,
  forgetCommand,
  isKept,
  isUndecided,
  type SentCommand,
  storeCommand,
  storedCommand,
} from './commands.js'
import { FIRST_VISIT, failureOf, type Visit, type VisitStep, visitAfter } from './visit.js'

/** After this time the page says that a command takes longer than usual, ms. */
const SLOW_AFTER_MS = 4000

export interface CurrentVisit extends Visit {
  /** Sends a new command, unless one is undecided. */
  send(action: CommandAction): void
  /** Sends the last command again, with its key. */
  repeat(): void
  learn(step: VisitStep): void
}

/**
 * Follows what the visitor has for an event, and sends commands.
 *
 * A command is stored for this tab before it is sent, and forgotten once it is decided or refused,
 * or cannot have arrived. If the page is reloaded or the sign-in ends in between, the page waits
 * for the decision of the stored job, or sends the command again with its key. So the command has
 * one effect.
 */
export function useVisit(eventId: number, live: Live): CurrentVisit {
  const session = useSession()
  const [visit, learn] = useReducer(visitAfter, FIRST_VISIT)
  const running = useRef<AbortController>(undefined)
  const userId = session.kind === 'signedIn' ? session.userId : undefined

  async function run(command: SentCommand): Promise<void> {
    running.current?.abort()
    const stopped = new AbortController()
    running.current = stopped
    const { signal } = stopped
    const show = (step: VisitStep): void => {
      if (!signal.aborted) learn(step)
    }
    storeCommand(storage, command)
    show({ kind: 'sent', command })
    const slow = setTimeout(() => show({ kind: 'slow' }), SLOW_AFTER_MS)
    try {
      const decision = await withSession(() => decisionOf(command, signal, show))
      forgetCommand(storage, eventId)
      show({ kind: 'decided', decision })
    } catch (error) {
      if (signal.aborted) return
      const nowMs = serverClock.nowMs()
      if (!isKept(failureOf(error, nowMs))) forgetCommand(storage, eventId)
      show({ kind: 'failed', error, nowMs })
    } finally {
      clearTimeout(slow)
    }
  }

  useEffect(() => {
    learn({ kind: 'viewer', userId })
    if (userId === undefined) return
    const stored = storedCommand(storage, eventId, userId, Date.now())
    if (stored !== undefined) void run(stored)
    return () => running.current?.abort()
  }, [eventId, userId])

  const { standing, status } = live
  useEffect(() => {
    if (standing === undefined) return
    // The status that was sent with the standing was read at the same time.
    const asOfMs = status === undefined ? serverClock.nowMs() : Date.parse(status.serverTime)
    learn({ kind: 'standing', userId: standing.userId, claim: standing, asOfMs })
  }, [standing])

  return {
    ...visit,
    learn,
    send(action) {
      if (userId === undefined || isUndecided(visit.command)) return
      const { now, ended } = visit.claims
      const bookingId = action === 'book' ? null : (now?.bookingId ?? ended?.bookingId ?? null)
      const key = newIdempotencyKey()
      const askedAtMs = Date.now()
      void run({ action, eventId, userId, key, bookingId, jobId: null, askedAtMs })
    },
    repeat() {
      if (visit.command.kind === 'failed') void run(visit.command.command)
    },
  }
}

/** Sends a command and waits for its decision, or only waits if the server has it already. */
async function decisionOf(
  command: SentCommand,
  signal: AbortSignal,
  show: (step: VisitStep) => void,
): Promise<AnyDecision> {
  const { action, eventId, bookingId, jobId } = command
  const options = {
    signal,
    onProgress: ({ ahead, etaSeconds }: { ahead: number | null; etaSeconds: number | null }) =>
      show({ kind: 'progress', ahead, etaSeconds }),
  }
  if (jobId !== null) {
    try {
      return await client.decisionOf(jobId, options)
    } catch (error) {
      // The server does not have it any more, or it was never this user's.
      if (!hasCode(error, 'job_not_found')) throw error
    }
  }
  const sending = {
    ...options,
    idempotencyKey: command.key,
    onAccepted: (accepted: string) => storeCommand(storage, { ...command, jobId: accepted }),
  }
  if (action === 'book') return client.book({ eventId }, sending)
  return client[action]({ eventId, ...(bookingId !== null && { bookingId }) }, sending)
}

/** The storage of this tab; if the browser forbids it, one that keeps nothing. */
const storage: CommandStorage = (() => {
  try {
    return sessionStorage
  } catch {
    return { getItem: () => null, setItem: () => undefined, removeItem: () => undefined }
  }
})()
