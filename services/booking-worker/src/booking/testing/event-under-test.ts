import { eventRow } from '@ticket-line/db/testing'
import { type EventState, startBatch } from '../event-state.js'

/**
 * The state of an event at the start of a batch, for tests: an event with one free ticket, unless
 * `loaded` says otherwise.
 */
export function eventUnderTest(loaded: Partial<EventState> = {}): EventState {
  return startBatch({
    ...eventRow(loaded),
    claims: new Map(),
    heads: [],
    headsComplete: true,
    lapsed: new Map(),
    due: [],
    expiring: [],
    details: undefined,
    ...loaded,
  })
}

/** Members of a command, of whichever type. */
export type MembersOf<Request> = Request extends unknown ? Partial<Omit<Request, 'type'>> : never
