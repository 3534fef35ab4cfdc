import type { Command, CommandType, Outcome, StoredOutcome } from '@ticket-line/shared'

/**
 * The booking rules in their plainest form: two lists for each event, one command after the other,
 * nothing loaded and nothing batched. This is the second opinion of the model tests, the
 * simulation, the fault rig and the herd, so it shares no code with the product.
 */
export interface NaiveEvent {
  totalTickets: number
  /** Live bookings, in the order in which they were made. */
  booked: NaiveClaim[]
  /** Live waiting-list entries, the head first. */
  waiting: NaiveClaim[]
  /** Every booking and waiting-list entry that was ever made, in order of `sequence`. */
  made: NaiveClaim[]
  decide(type: CommandType, userId: string): Decision
}

export interface NaiveClaim {
  userId: string
  kind: 'booking' | 'waiting'
  /** Number of the claim in its event. Bookings and waiting-list entries share one sequence. */
  sequence: number
  /** True for a booking that came from the waiting list. */
  promoted: boolean
}

/** An outcome without its time and without a reference to an earlier command. */
export type Decision = Omit<Outcome, 'decidedAtMs' | 'replayOf'>

/** @param lastSequence the last number that the event has used before */
export function createNaiveEvent(
  eventId: number,
  totalTickets: number,
  lastSequence = 0,
): NaiveEvent {
  const claims = new Map<string, NaiveClaim>()
  const booked: NaiveClaim[] = []
  const waiting: NaiveClaim[] = []
  const made: NaiveClaim[] = []

  function add(userId: string, kind: NaiveClaim['kind'], promoted: boolean): NaiveClaim {
    const claim = { userId, kind, promoted, sequence: lastSequence + made.length + 1 }
    made.push(claim)
    claims.set(userId, claim)
    if (kind === 'booking') booked.push(claim)
    else waiting.push(claim)
    return claim
  }

  function remove(claim: NaiveClaim): void {
    const list = claim.kind === 'booking' ? booked : waiting
    list.splice(list.indexOf(claim), 1)
    claims.delete(claim.userId)
  }

  const bookingIdOf = ({ sequence }: NaiveClaim): string => `${eventId}-${sequence}`

  function book(userId: string): Decision {
    const claim = claims.get(userId)
    if (claim?.kind === 'booking')
      return { outcome: 'already_booked', bookingId: bookingIdOf(claim) }
    if (claim?.kind === 'waiting')
      return { outcome: 'already_waiting', position: waiting.indexOf(claim) + 1 }
    if (booked.length < totalTickets)
      return { outcome: 'booked', bookingId: bookingIdOf(add(userId, 'booking', false)) }
    add(userId, 'waiting', false)
    return { outcome: 'waiting', position: waiting.length }
  }

  function cancel(userId: string): Decision {
    const claim = claims.get(userId)
    if (claim === undefined) return { outcome: 'booking_not_found' }
    remove(claim)
    if (claim.kind === 'waiting') return { outcome: 'withdrawn' }
    const canceled: Decision = { outcome: 'canceled', bookingId: bookingIdOf(claim) }
    const head = waiting[0]
    if (head === undefined) return canceled
    remove(head)
    add(head.userId, 'booking', true)
    return { ...canceled, promotedUserId: head.userId }
  }

  return {
    totalTickets,
    booked,
    waiting,
    made,
    decide: (type, userId) => (type === 'book' ? book(userId) : cancel(userId)),
  }
}

/** Several events, with the rules about idempotency keys and about commands that are sent twice. */
export interface NaiveModel {
  events: ReadonlyMap<number, NaiveEvent>
  /** The outcome of every command so far, by command id. */
  outcomes: Map<string, StoredOutcome>
  /**
   * Decides a command. A command that has an outcome keeps it.
   * @param acceptedAtMs when the API accepted the request; a key's 24 hours are counted by this
   * time
   */
  decide(command: NaiveCommand, nowMs: number, acceptedAtMs?: number): StoredOutcome
  /** Records a command as abandoned by the API. If it has no outcome yet, it has no effect. */
  abandon(command: NaiveCommand, nowMs: number): void
  /** Records a command that killed its workers. It has no effect, but it takes its key. */
  reject(command: NaiveCommand, nowMs: number): void
}

export type NaiveCommand = Pick<
  Command,
  'commandId' | 'type' | 'eventId' | 'userId' | 'caller' | 'keyHash'
>

const KEY_LIFETIME_MS = 24 * 60 * 60 * 1000

export function createNaiveModel(events: ReadonlyMap<number, NaiveEvent>): NaiveModel {
  const outcomes: NaiveModel['outcomes'] = new Map()
  /** The command that took a key last. */
  const owners = new Map<
    string,
    { command: NaiveCommand; outcome: Outcome; acceptedAtMs: number }
  >()

  const nameOf = ({ caller, keyHash }: NaiveCommand): string => JSON.stringify([caller, keyHash])

  function decideNew({ type, eventId, userId }: NaiveCommand, decidedAtMs: number): Outcome {
    const event = events.get(eventId)
    if (event === undefined) return { outcome: 'event_not_found', decidedAtMs }
    return { ...event.decide(type, userId), decidedAtMs }
  }

  /** The command that owns the key at the time when this one was accepted. */
  function ownerOf(command: NaiveCommand, acceptedAtMs: number) {
    const owner = owners.get(nameOf(command))
    return owner !== undefined && acceptedAtMs - owner.acceptedAtMs < KEY_LIFETIME_MS
      ? owner
      : undefined
  }

  function decideWithKey(command: NaiveCommand, nowMs: number, acceptedAtMs: number): Outcome {
    const owner = ownerOf(command, acceptedAtMs)
    if (owner === undefined) {
      const outcome = decideNew(command, nowMs)
      owners.set(nameOf(command), { command, outcome, acceptedAtMs })
      return outcome
    }
    const { type, eventId, userId, commandId } = owner.command
    if (type === command.type && eventId === command.eventId && userId === command.userId)
      return { ...owner.outcome, replayOf: commandId }
    return { outcome: 'idempotency_key_reused', decidedAtMs: nowMs }
  }

  return {
    events,
    outcomes,
    decide(command, nowMs, acceptedAtMs = nowMs) {
      const known = outcomes.get(command.commandId)
      if (known !== undefined) return known
      const outcome =
        command.keyHash === undefined
          ? decideNew(command, nowMs)
          : decideWithKey(command, nowMs, acceptedAtMs)
      outcomes.set(command.commandId, outcome)
      return outcome
    },
    abandon(command, nowMs) {
      if (!outcomes.has(command.commandId))
        outcomes.set(command.commandId, { outcome: 'abandoned', decidedAtMs: nowMs })
    },
    reject(command, nowMs) {
      const outcome: Outcome = { outcome: 'rejected', decidedAtMs: nowMs }
      outcomes.set(command.commandId, outcome)
      if (command.keyHash !== undefined && ownerOf(command, nowMs) === undefined)
        owners.set(nameOf(command), { command, outcome, acceptedAtMs: nowMs })
    },
  }
}

/** Events 1, 2, … with as many tickets as `sizes` says. */
export function createNaiveEvents(sizes: number[], lastSequence = 0): Map<number, NaiveEvent> {
  return new Map(
    sizes.map((totalTickets, i) => [i + 1, createNaiveEvent(i + 1, totalTickets, lastSequence)]),
  )
}
