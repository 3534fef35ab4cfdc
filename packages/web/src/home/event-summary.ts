import type { components } from '@ticket-line/client'
import type { Format } from '../format.js'

export type ListedEvent = components['schemas']['ListedEvent']

/** What the home page says about an event. */
export interface EventSummary {
  name: string
  /** Undefined if the event has no start. */
  day: string | undefined
  /** What a visitor can expect now. */
  now: string
}

/** Describes an event of the list. */
export function summaryOf(
  { eventId, name, startsAt, ...event }: ListedEvent,
  format: Pick<Format, 'day' | 'number' | 'plural'>,
): EventSummary {
  return {
    name: name ?? `Event ${eventId}`,
    day: startsAt === null ? undefined : format.day(startsAt),
    now: nowOf(event, format),
  }
}

function nowOf(
  {
    state,
    availableTickets,
    waitingListCount,
  }: Pick<ListedEvent, 'state' | 'availableTickets' | 'waitingListCount'>,
  { plural }: Pick<Format, 'plural'>,
): string {
  if (state === 'scheduled') return 'The sale has not begun yet.'
  if (state === 'paused') return 'The sale is paused.'
  if (availableTickets > 0) return `${plural(availableTickets, 'ticket', 'tickets')} left`
  if (waitingListCount === 0) return 'All tickets are taken.'
  return `All tickets are taken. ${plural(waitingListCount, 'person is', 'people are')} waiting.`
}
