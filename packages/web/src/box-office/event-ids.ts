import { isEventId } from '../event-id.js'

/** What a person typed into a field for the ids of events. */
export type EventIds =
  /** Nothing, which means all events. */
  | { kind: 'all' }
  | { kind: 'some'; eventIds: number[] }
  /** A part of the text is no id. */
  | { kind: 'invalid'; part: string }

/** Reads ids that are separated by commas or white space. An id that is repeated counts once. */
export function parseEventIds(text: string): EventIds {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '')
  const invalid = parts.find((part) => !isEventId(part))
  if (invalid !== undefined) return { kind: 'invalid', part: invalid }
  if (parts.length === 0) return { kind: 'all' }
  return { kind: 'some', eventIds: [...new Set(parts.map(Number))] }
}
