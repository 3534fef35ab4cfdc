import { type components, createTicketLine, dataOf } from '@ticket-line/client'
import { client } from '../../api.js'
import { presentToken, withSession } from '../../session/index.js'
import { isAboutAnotherDownload, type Opened } from './save-csv.js'

type Schemas = components['schemas']

export type Booking = Schemas['ListedBooking'] & { bookedAt: string; promoted: boolean }
export type Hold = Schemas['ListedBooking'] & {
  heldAt: string
  expiresAt: string
  offered: boolean
}
export type Waiting = Schemas['WaitingListEntry']

export interface Page<Row> {
  rows: Row[]
  /** Leads to the next page; null on the last one. */
  next: string | null
}

/** Which part of a list to read. */
export interface Part {
  /** `next` of the page before; undefined for the first page. */
  after: string | undefined
  /** Reads only the row of this person; undefined for all. */
  userId: string | undefined
}

/** The calls for one of the lists of an event. */
export interface ListCalls<Row> {
  read: (eventId: number, part: Part, signal: AbortSignal) => Promise<Page<Row>>
  /** Begins to download the whole list as CSV. */
  download: (eventId: number) => Promise<Opened>
}

export const bookingsCalls: ListCalls<Booking> = listOfBookings('booked')
export const holdsCalls: ListCalls<Hold> = listOfBookings('held')

export const waitingListCalls: ListCalls<Waiting> = {
  async read(eventId, part, signal) {
    const { waiting, next } = await dataOf(
      client.api.GET('/events/{eventId}/waiting-list', { ...paramsOf(eventId, part), signal }),
    )
    return { rows: waiting, next }
  },
  download: (eventId) =>
    opened(() =>
      impatient.api.GET('/events/{eventId}/waiting-list', {
        params: { path: { eventId } },
        ...AS_CSV,
      }),
    ),
}

/**
 * Sends each request once. `client` would repeat a download until the one before it has ended, and
 * the page would not say why nothing happens.
 */
const impatient = createTicketLine({
  baseUrl: location.origin,
  token: presentToken,
  giveUpAfterMs: 0,
})

const ROWS_PER_PAGE = 100
const AS_CSV = { headers: { Accept: 'text/csv' }, parseAs: 'stream' } as const

/** The API has bookings and holds in one list, whose rows have different members. */
function listOfBookings<Row extends Schemas['ListedBooking']>(
  standing: 'booked' | 'held',
): ListCalls<Row> {
  const path = '/events/{eventId}/bookings'
  return {
    async read(eventId, part, signal) {
      const { bookings, next } = await dataOf(
        client.api.GET(path, { ...paramsOf(eventId, { standing, ...part }), signal }),
      )
      return { rows: bookings as Row[], next }
    },
    download: (eventId) =>
      opened(() =>
        impatient.api.GET(path, { params: { path: { eventId }, query: { standing } }, ...AS_CSV }),
      ),
  }
}

function paramsOf<Query extends Part>(eventId: number, { after, userId, ...query }: Query) {
  const chosen = {
    ...query,
    ...(after !== undefined && { after }),
    ...(userId !== undefined && { userId }),
  }
  return { params: { path: { eventId }, query: { limit: ROWS_PER_PAGE, ...chosen } } }
}

interface Answer {
  data?: unknown
  error?: unknown
  response: Response
}

async function opened(call: () => Promise<Answer>): Promise<Opened> {
  return withSession(async () => {
    const answer = await call()
    if (isAboutAnotherDownload(answer.response)) return { kind: 'another_runs' }
    const body = (await dataOf(answer)) as ReadableStream<Uint8Array<ArrayBuffer>>
    return { kind: 'opened', body }
  })
}
