import type { Command, Outcome, RefusedOutcome } from '@ticket-line/shared'

/**
 * The rules of the contract as somebody would write them on a napkin: two lists an event, one command after the other,
 * nothing loaded, nothing batched. Shares no code with the product.
 */
export interface NaiveModel {
  events: Map<number, NaiveEvent>
  /** The answer to every command so far. */
  answers: Map<string, Outcome | RefusedOutcome>
  /** @param acceptedAtMs when its request was accepted, `nowMs` if left out */
  answer(command: Command, nowMs: number, acceptedAtMs?: number): Outcome | RefusedOutcome
  refuse(command: Command, nowMs: number): void
  /** It killed too many workers: an answer for it and its key, and no effect. */
  reject(command: Command, nowMs: number): void
}

export interface NaiveEvent {
  totalTickets: number
  /** Who holds a ticket, in the order in which they got it. */
  booked: Holder[]
  /** Who waits, in the order in which they came. */
  waiting: Holder[]
  /** How many tickets and places were given out so far. */
  givenOut: number
}

export interface Holder {
  userId: string
  /** Place in the order of everything given out. */
  number: number
  promoted: boolean
}

const KEY_KEPT_MS = 24 * 60 * 60 * 1000

/**
 * @param sizes tickets of event 1, 2, …
 * @param givenOut numbers that each event had given out before
 */
export function createNaiveModel(sizes: number[], givenOut: number): NaiveModel {
  const events = new Map<number, NaiveEvent>()
  for (const [i, totalTickets] of sizes.entries())
    events.set(i + 1, { totalTickets, booked: [], waiting: [], givenOut })
  const answers: NaiveModel['answers'] = new Map()
  const firstUses: { command: Command; outcome: Outcome; atMs: number }[] = []

  function fresh(command: Command, decidedAtMs: number): Outcome {
    const event = events.get(command.eventId)
    if (event === undefined) return { outcome: 'event_not_found', decidedAtMs }
    return command.type === 'book'
      ? book(event, command, decidedAtMs)
      : cancel(event, command, decidedAtMs)
  }

  /** The last command to take the key, if the request was accepted while it held. */
  function firstUseOf({ caller, keyHash }: Command, acceptedAtMs: number) {
    const last = firstUses.findLast(
      ({ command }) => command.caller === caller && command.keyHash === keyHash,
    )
    return last !== undefined && acceptedAtMs - last.atMs < KEY_KEPT_MS ? last : undefined
  }

  function keyed(command: Command, nowMs: number, acceptedAtMs: number): Outcome {
    const first = firstUseOf(command, acceptedAtMs)
    if (first === undefined) {
      const outcome = fresh(command, nowMs)
      firstUses.push({ command, outcome, atMs: acceptedAtMs })
      return outcome
    }
    const { type, eventId, userId, commandId } = first.command
    if (type === command.type && eventId === command.eventId && userId === command.userId)
      return { ...first.outcome, replayOf: commandId }
    return { outcome: 'idempotency_key_reused', decidedAtMs: nowMs }
  }

  return {
    events,
    answers,
    answer(command, nowMs, acceptedAtMs = nowMs) {
      const known = answers.get(command.commandId)
      if (known !== undefined) return known
      const outcome =
        command.keyHash === undefined ? fresh(command, nowMs) : keyed(command, nowMs, acceptedAtMs)
      answers.set(command.commandId, outcome)
      return outcome
    },
    refuse(command, nowMs) {
      if (!answers.has(command.commandId))
        answers.set(command.commandId, { outcome: 'refused', decidedAtMs: nowMs })
    },
    reject(command, nowMs) {
      const outcome: Outcome = { outcome: 'rejected', decidedAtMs: nowMs }
      answers.set(command.commandId, outcome)
      if (command.keyHash !== undefined && firstUseOf(command, nowMs) === undefined)
        firstUses.push({ command, outcome, atMs: nowMs })
    },
  }
}

function book(event: NaiveEvent, { eventId, userId }: Command, decidedAtMs: number): Outcome {
  const booking = event.booked.find((holder) => holder.userId === userId)
  if (booking !== undefined)
    return { outcome: 'already_booked', bookingId: `${eventId}-${booking.number}`, decidedAtMs }
  const place = event.waiting.findIndex((holder) => holder.userId === userId)
  if (place >= 0) return { outcome: 'already_waiting', position: place + 1, decidedAtMs }
  event.givenOut += 1
  const holder = { userId, number: event.givenOut, promoted: false }
  if (event.booked.length < event.totalTickets) {
    event.booked.push(holder)
    return { outcome: 'booked', bookingId: `${eventId}-${holder.number}`, decidedAtMs }
  }
  event.waiting.push(holder)
  return { outcome: 'waiting', position: event.waiting.length, decidedAtMs }
}

function cancel(event: NaiveEvent, { eventId, userId }: Command, decidedAtMs: number): Outcome {
  const place = event.waiting.findIndex((holder) => holder.userId === userId)
  if (place >= 0) {
    event.waiting.splice(place, 1)
    return { outcome: 'withdrawn', decidedAtMs }
  }
  const booked = event.booked.findIndex((holder) => holder.userId === userId)
  if (booked < 0) return { outcome: 'booking_not_found', decidedAtMs }
  const [given] = event.booked.splice(booked, 1)
  const outcome: Outcome = {
    outcome: 'canceled',
    bookingId: `${eventId}-${given?.number}`,
    decidedAtMs,
  }
  const next = event.waiting.shift()
  if (next !== undefined) {
    event.givenOut += 1
    event.booked.push({ userId: next.userId, number: event.givenOut, promoted: true })
    outcome.promotedUserId = next.userId
  }
  return outcome
}
