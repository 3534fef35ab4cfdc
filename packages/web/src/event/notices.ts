import { latestOf } from '../sale-state.js'
import { SENTENCES } from '../ui/failures.js'
import type { Claims } from './claims.js'
import { type CommandState, isRepeatable } from './commands.js'
import type { Known, SituationKind } from './view.js'

/** Says what became of a command. */
export interface Notice {
  tone: 'neutral' | 'bad'
  text: string
}

type FailedCommand = Extract<CommandState, { kind: 'failed' }>

/** What became of the last command. Undefined if there was none, or the situation says it all. */
export function noticeOf(known: Known, kind: SituationKind): Notice | undefined {
  const { command, claims, session, status, event } = known
  if (command.kind !== 'failed' || session.kind !== 'signedIn' || kind === 'event_canceled')
    return undefined
  if (isSettled(command, claims)) return undefined
  const { code, atMs } = command.failure
  const refusal = REFUSALS[code]
  if (refusal === undefined) return { tone: 'bad', text: failureText(known, command) }
  // A refusal is shown until the stream is newer, and after that while it explains the situation.
  const isNews = Date.parse(latestOf(event, status).serverTime) <= atMs
  if (refusal.kinds !== undefined && !isNews && !refusal.kinds.includes(kind)) return undefined
  return { tone: refusal.tone ?? 'bad', text: refusal.text }
}

/** Whether what the user has now shows that a failed command had its effect, or is pointless. */
export function isSettled({ command, failure }: FailedCommand, { now }: Claims): boolean {
  if (!isRepeatable(failure) || now === undefined) return false
  if (command.action === 'book') return now.standing !== 'none'
  return now.standing === (command.action === 'confirm' ? 'booked' : 'none')
}

interface Refusal {
  text: string
  tone?: Notice['tone']
  /** The situations that it explains; undefined for all. */
  kinds?: readonly SituationKind[]
}

const REFUSALS: Partial<Record<FailedCommand['failure']['code'], Refusal>> = {
  already_booked: {
    text: 'You already had a ticket. Nothing was booked twice.',
    tone: 'neutral',
    kinds: ['booked'],
  },
  already_held: {
    text: 'A ticket was already held for you. Nothing was booked twice.',
    tone: 'neutral',
    kinds: ['held', 'held_for_staff', 'time_over'],
  },
  already_waiting: {
    text: 'You were already on the waiting list. You keep your position.',
    tone: 'neutral',
    kinds: ['waiting'],
  },
  sales_not_open: {
    text: 'You were too early. The sale is not open yet, and nothing was booked.',
    kinds: ['scheduled'],
  },
  sales_paused: {
    text: 'The sale was paused before your request arrived. Nothing was booked.',
    kinds: ['paused'],
  },
  sales_closed: {
    text: 'The sale ended before your request arrived. Nothing was booked.',
    kinds: ['closed'],
  },
  sold_out: { text: 'Somebody was faster. The last ticket is gone.', kinds: ['sold_out'] },
  waiting_list_full: {
    text: 'Somebody was faster. The waiting list is full now.',
    kinds: ['full_list'],
  },
  hold_expired: {
    text: SENTENCES.hold_expired,
    kinds: ['expired'],
  },
  booking_not_found: { text: 'There was nothing to change any more.' },
  forbidden: { text: 'Only the organizer can do this. Nothing was changed.' },
}

function failureText({ words, nowMs }: Known, { failure }: FailedCommand): string {
  const { code, retryAtMs } = failure
  const again =
    retryAtMs !== null && retryAtMs > nowMs
      ? `Try again ${words.when(new Date(retryAtMs).toISOString())}.`
      : 'Please try again.'
  switch (code) {
    case 'rate_limited':
    case 'busy':
    case 'unavailable':
      return `${SENTENCES[code]} ${again}`
    case 'unauthorized':
      return `Your sign-in ended before your request arrived. ${again}`
    case 'no_answer':
    case 'unexpected_answer':
    case 'unknown':
    case 'internal':
      return 'No answer came, so nobody knows whether your request arrived. Send it again. Nothing is booked twice.'
    default:
      return `That did not work, and nothing was changed. ${again}`
  }
}
