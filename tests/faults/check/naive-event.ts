import type { CommandType } from '../history.ts'

/** What the naive model says to a command. */
export interface NaiveOutcome {
  outcome: string
  position?: number
  promotedUserId?: string
}

/** Somebody who got a ticket, or a place in the list, in the order in which it happened. */
export interface NaiveEntry {
  userId: string
  kind: 'booking' | 'waiting'
  promoted: boolean
}

/** An event as a person with two lists on paper would keep it. */
export interface NaiveEvent {
  booked: string[]
  waiting: string[]
  /** Everything that was given out, in order. */
  given: NaiveEntry[]
  ask(type: CommandType, userId: string): NaiveOutcome
}

/** Written from the contract, without a look at how the product does it. */
export function createNaiveEvent(totalTickets: number): NaiveEvent {
  const event: NaiveEvent = {
    booked: [],
    waiting: [],
    given: [],
    ask: (type, userId) => (type === 'book' ? book(userId) : cancel(userId)),
  }

  function book(userId: string): NaiveOutcome {
    if (event.booked.includes(userId)) return { outcome: 'already_booked' }
    const place = event.waiting.indexOf(userId)
    if (place >= 0) return { outcome: 'already_waiting', position: place + 1 }
    if (event.booked.length < totalTickets) {
      event.booked.push(userId)
      event.given.push({ userId, kind: 'booking', promoted: false })
      return { outcome: 'booked' }
    }
    event.waiting.push(userId)
    event.given.push({ userId, kind: 'waiting', promoted: false })
    return { outcome: 'waiting', position: event.waiting.length }
  }

  function cancel(userId: string): NaiveOutcome {
    if (event.waiting.includes(userId)) {
      event.waiting = event.waiting.filter((other) => other !== userId)
      return { outcome: 'withdrawn' }
    }
    if (!event.booked.includes(userId)) return { outcome: 'booking_not_found' }
    event.booked = event.booked.filter((other) => other !== userId)
    const promotedUserId = event.waiting.shift()
    if (promotedUserId === undefined) return { outcome: 'canceled' }
    event.booked.push(promotedUserId)
    event.given.push({ userId: promotedUserId, kind: 'booking', promoted: true })
    return { outcome: 'canceled', promotedUserId }
  }

  return event
}
