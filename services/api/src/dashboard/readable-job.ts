import {
  type CommandRequest,
  isoOf,
  type JobPayload,
  type JobReply,
  keyIdOf,
  type OutcomeKind,
  readJobPayload,
  type StoredOutcome,
  shownSettingsOf,
} from '@ticket-line/shared'

/** What the board shows of a job of a line instead of the name and the data that BullMQ stores. */
export interface ReadableJob {
  name: string
  data: {
    /** Absent if the job has commands of several events, which then name theirs. */
    event?: string
    accepted: string
    /** What each command asks for and, once the job is completed, its outcome. */
    commands: string[]
  }
  /** Undefined until the job is completed. */
  returnvalue: { decided: string } | undefined
}

/** The members of BullMQ's job that hold the commands and their outcomes. */
export interface StoredJob {
  data: unknown
  returnvalue?: unknown
}

/**
 * Describes the commands of a job and their outcomes.
 *
 * @param nameOf the name of an event, if it has one
 * @returns undefined for a job that this build cannot read
 */
export function readableJob(
  { data, returnvalue }: StoredJob,
  nameOf: (eventId: number) => string | undefined,
): ReadableJob | undefined {
  const payload = readJobPayload(data)
  if (typeof payload === 'string') return undefined
  const { commands } = payload
  const outcomes = outcomesOf(payload, returnvalue)
  const eventOf = ({ eventId }: CommandRequest): string => {
    const name = nameOf(eventId)
    return name === undefined ? `${eventId}` : `${name} (${eventId})`
  }
  const isOfOneEvent = eventIdsOf(payload).length === 1
  const aboutEvent = (command: CommandRequest): string =>
    isOfOneEvent ? '' : `, event ${eventOf(command)}`
  return {
    name: summaryOf(commands, outcomes),
    data: {
      ...(isOfOneEvent && { event: eventOf(commands[0] as CommandRequest) }),
      accepted: isoOf(payload.acceptedAtMs),
      commands: commands.map((command, index) => {
        const asked = `${whoOf(command)}: ${askedOf(command)}${senderOf(command)}`
        const outcome = outcomes?.[index]
        return `${asked}${aboutEvent(command)}${outcome === undefined ? '' : ` → ${answerOf(outcome)}`}`
      }),
    },
    returnvalue: outcomes && {
      decided: isoOf(Math.max(...outcomes.map(({ decidedAtMs }) => decidedAtMs))),
    },
  }
}

/** The events of a job, each once. */
export function eventIdsOf({ commands }: JobPayload): number[] {
  return [...new Set(commands.map(({ eventId }) => eventId))]
}

function outcomesOf({ commands }: JobPayload, returnvalue: unknown): StoredOutcome[] | undefined {
  const { outcomes } = (returnvalue ?? {}) as Partial<JobReply>
  return Array.isArray(outcomes) && outcomes.length === commands.length ? outcomes : undefined
}

/** For example `3 commands: 2 booked, 1 waiting`. */
function summaryOf(commands: CommandRequest[], outcomes: StoredOutcome[] | undefined): string {
  const words = outcomes?.map(({ outcome }) => outcome) ?? commands.map(({ type }) => type)
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  const parts = [...counts].map(([word, count]) => `${count} ${word.replaceAll('_', ' ')}`)
  return `${commands.length} ${commands.length === 1 ? 'command' : 'commands'}: ${parts.join(', ')}`
}

function whoOf({ type, userId }: CommandRequest): string {
  return type === 'settle' ? 'the system' : userId
}

/** Says who sent the command, if that is somebody other than its user. */
function senderOf({ userId, caller }: CommandRequest): string {
  const keyId = keyIdOf(caller)
  if (keyId !== undefined) return `, sent with API key ${keyId}`
  return caller === userId ? '' : `, sent by ${caller}`
}

function askedOf(command: CommandRequest): string {
  switch (command.type) {
    case 'book':
      return 'book a ticket'
    case 'cancel':
      return `cancel ${command.bookingId ?? 'a booking, a hold or a place on the waiting list'}`
    case 'confirm':
      return `confirm ${command.bookingId ?? 'a hold'}`
    case 'extend': {
      const { bookingId = 'a hold', seconds } = command
      return `extend ${bookingId}${seconds === undefined ? '' : ` to ${seconds} s from now`}`
    }
    case 'grant':
      return `be given a ticket${command.raiseCapacity ? ', if needed one more than there are' : ''}`
    case 'configure': {
      const { patch, ifVersion, shrink } = command
      const condition = ifVersion === undefined ? '' : `, if its version is ${ifVersion}`
      return `change ${JSON.stringify(shownSettingsOf(patch))}${shrink ? ', shrinking' : ''}${condition}`
    }
    case 'cancel_event':
      return `cancel the event${command.reason === undefined ? '' : `: ${command.reason}`}`
    case 'settle':
      return 'apply what has come due'
  }
}

const ANSWERS: Record<OutcomeKind, string> = {
  booked: 'booked',
  held: 'held',
  waiting: 'waiting list',
  confirmed: 'hold confirmed',
  extended: 'hold extended',
  canceled: 'booking canceled',
  released: 'hold released',
  withdrawn: 'off the waiting list',
  configured: 'event changed',
  event_ended: 'event canceled',
  settled: 'applied',
  already_booked: 'refused, because they have a booking',
  already_held: 'refused, because they have a hold',
  already_waiting: 'refused, because they are on the waiting list',
  hold_expired: 'refused, because the hold has expired',
  hold_limit_reached: 'refused, because the hold has its greatest length',
  sales_not_open: 'refused, because the sale is not open yet',
  sales_paused: 'refused, because the sale is paused',
  sales_closed: 'refused, because the sale is over',
  sold_out: 'refused, because no ticket is left',
  waiting_list_full: 'refused, because the waiting list is full',
  capacity_below_committed: 'refused, because more tickets are booked and held',
  version_mismatch: 'refused, because the event was changed in between',
  event_canceled: 'refused, because the event is canceled',
  booking_not_found: 'refused, because they have nothing',
  event_not_found: 'refused, because there is no such event',
  idempotency_key_reused: 'refused, because the idempotency key was used for another command',
  rejected: 'rejected after several failures, and nothing changed',
}

function answerOf(stored: StoredOutcome): string {
  if (stored.outcome === 'abandoned') return 'not executed, because the API had answered 503'
  const { outcome, position, bookingId, expiresAtMs, opensAtMs, committed, promotedUserId } = stored
  return [
    // An outcome that a newer release has added.
    ANSWERS[outcome] ?? outcome.replaceAll('_', ' '),
    bookingId,
    position && `position ${position}`,
    expiresAtMs && `until ${isoOf(expiresAtMs)}`,
    opensAtMs && `opens ${isoOf(opensAtMs)}`,
    committed && `${committed} booked and held`,
    promotedUserId !== undefined && `the ticket went to ${promotedUserId}`,
    stored.replayOf && `the answer to ${stored.replayOf} again`,
  ]
    .filter(Boolean)
    .join(', ')
}
