import {
  bookerOf,
  cancelerOf,
  type DriverReport,
  eventOf,
  type ReadCall,
  result,
  scatter,
  type Traffic,
} from './plan.ts'
import {
  createSigner,
  getRequest,
  postRequest,
  type RequestBook,
  writeRequests,
} from './requests.ts'
import type { Answer } from './response.ts'

/** One request, and what to do with its response. */
export interface PreparedRequest {
  bytes: Uint8Array
  /** Called with the response. */
  take(answer: Answer): void
}

/** Hands out the prepared requests in order and records the responses. */
export interface RequestSource {
  /** @returns undefined when all prepared requests are used up */
  next(): PreparedRequest | undefined
  /** Skips the rest of the warm-up bookings of the first event. */
  skipFirstEvent(): void
  results(): Pick<DriverReport, 'booked' | 'canceled' | 'wrongAnswers'>
}

const WRONG_KEPT = 5

const meanings: Record<string, number> = {
  '{"message":"Ticket booked"}': result.booked,
  '{"message":"Added to waiting list"}': result.waiting,
  '{"message":"Booking canceled"}': result.canceled,
  '{"message":"Removed from waiting list"}': result.withdrawn,
}

export function createRequestSource(
  traffic: Traffic,
  jwtSecret: string,
  nowMs: number,
): RequestSource {
  const sign = createSigner(jwtSecret, nowMs)
  const wrongAnswers: Answer[] = []
  function record(results: Uint8Array, index: number, code: number, answer: Answer): void {
    results[index] = code
    if (code === result.wrong && wrongAnswers.length < WRONG_KEPT) wrongAnswers.push(answer)
  }
  switch (traffic.kind) {
    case 'bookings':
      return bookings(traffic, sign, record, wrongAnswers)
    case 'positions':
      return positions(traffic, sign, record, wrongAnswers)
    case 'reads':
      return reads(traffic, sign, record, wrongAnswers)
    case 'pages':
      return pages(traffic, sign, record, wrongAnswers)
    case 'polls':
      return polls(traffic, sign, record, wrongAnswers)
    case 'holds':
      return holds(traffic, sign, record, wrongAnswers)
    case 'forbidden':
      return forbidden(traffic, sign, record, wrongAnswers)
  }
}

type Sign = ReturnType<typeof createSigner>
type RecordResult = (results: Uint8Array, index: number, code: number, answer: Answer) => void

type Tools = [sign: Sign, record: RecordResult, wrongAnswers: Answer[]]

function bookings(
  traffic: Traffic & { kind: 'bookings' },
  ...[sign, record, wrongAnswers]: Tools
): RequestSource {
  const { cancelsInTen, prepared, onFirstEvent, apiKey } = traffic
  const cancels = Math.ceil((prepared * cancelsInTen) / 10)
  const body = (booking: number) => `{"eventId":${eventOf(booking, traffic)}}`
  const bookRequests = writeRequests(prepared - cancels, (i) =>
    apiKey === undefined
      ? postRequest('/book', sign(bookerOf(i, traffic), `b${i}`), body(i))
      : postRequest('/book', apiKey, `{"eventId":${eventOf(i, traffic)},"userId":"u${i}"}`),
  )
  const cancelRequests = writeRequests(cancels, (i) => {
    const { user, booking } = cancelerOf(i, traffic)
    return postRequest('/cancel', sign(user, `c${i}`), body(booking ?? i))
  })
  const booked = new Uint8Array(bookRequests.count)
  const canceled = new Uint8Array(cancels)
  let nextBooking = 0
  let nextCancel = 0
  let handedOut = 0

  function requestAt(
    book: RequestBook,
    results: Uint8Array,
    index: number,
    expected: readonly number[],
  ): PreparedRequest {
    results[index] = result.unanswered
    return {
      bytes: book.at(index),
      take(answer) {
        const code = answer.status === 200 ? (meanings[answer.body] ?? result.wrong) : result.wrong
        record(results, index, expected.includes(code) ? code : result.wrong, answer)
      },
    }
  }

  /**
   * Moves `nextCancel` to the oldest claim that can be canceled. The driver cancels claims in the
   * order of their bookings, so a booking without a response holds back all later ones.
   */
  function mayCancel(): boolean {
    for (; nextCancel < cancels; nextCancel++) {
      const { booking } = cancelerOf(nextCancel, traffic)
      if (booking === undefined) return true
      const state = booked[booking]
      if (state === result.wrong) continue
      return state === result.booked || state === result.waiting
    }
    return false
  }

  return {
    next() {
      const turn = (handedOut++ * cancelsInTen) % 10
      if (turn < cancelsInTen && mayCancel()) {
        return requestAt(cancelRequests, canceled, nextCancel++, [
          result.canceled,
          result.withdrawn,
        ])
      }
      if (nextBooking === bookRequests.count) return undefined
      return requestAt(bookRequests, booked, nextBooking++, [result.booked, result.waiting])
    },
    skipFirstEvent() {
      nextBooking = Math.max(nextBooking, onFirstEvent)
    },
    results: () => ({ booked, canceled, wrongAnswers }),
  }
}

function holds(
  { eventId, prepared }: Traffic & { kind: 'holds' },
  ...[sign, record, wrongAnswers]: Tools
): RequestSource {
  const users = Math.floor(prepared / 2)
  const body = `{"eventId":${eventId}}`
  const requestsTo = (path: string) =>
    writeRequests(users, (i) => postRequest(path, sign(`u${i}`, `${path}${i}`), body))
  const bookRequests = requestsTo('/book')
  const confirmRequests = requestsTo('/confirm')
  /** The state of each user: not sent, held, confirmed, or waiting for a response. */
  const states = new Uint8Array(users)
  /** The users who hold a ticket, in order. Those before `nextConfirm` have begun to confirm it. */
  const holders: number[] = []
  let nextConfirm = 0
  let nextBooking = 0

  function requestAt(book: RequestBook, user: number, expected: string, code: number) {
    states[user] = result.unanswered
    return {
      bytes: book.at(user),
      take(answer: Answer) {
        const isRight = answer.status === 200 && answer.body === expected
        record(states, user, isRight ? code : result.wrong, answer)
        if (isRight && code === result.held) holders.push(user)
      },
    }
  }

  return {
    next() {
      // As many confirmations as bookings, as soon as there are holds.
      const user = holders[nextConfirm]
      if (user !== undefined) {
        nextConfirm++
        return requestAt(confirmRequests, user, CONFIRMED, result.confirmed)
      }
      if (nextBooking === users) return undefined
      return requestAt(bookRequests, nextBooking++, HELD, result.held)
    },
    skipFirstEvent: () => undefined,
    results: () => ({ booked: states, canceled: new Uint8Array(0), wrongAnswers }),
  }
}

const HELD = '{"message":"Ticket held"}'
const CONFIRMED = '{"message":"Booking confirmed"}'

function positions(traffic: Traffic & { kind: 'positions' }, ...tools: Tools): RequestSource {
  const [sign] = tools
  const waiterOf = (i: number) => scatter(i, traffic.waiters)
  return uniformRequests(
    {
      prepared: traffic.prepared,
      request: (i) => getRequest(`/events/${traffic.eventId}/me`, sign(`w${waiterOf(i)}`, `p${i}`)),
      code: (i, { status, body }) =>
        status === 200 && body.includes(`"position":${waiterOf(i) + 1},`)
          ? result.found
          : result.wrong,
    },
    ...tools,
  )
}

/** A part of every right answer. */
const PART_OF: Record<ReadCall, string> = {
  '/events': '"waitingListCount":',
  '/me/bookings': '"standing":"booked"',
  '/events/:eventId': '"serverTime":',
}

function reads(
  { call, events, users, prepared }: Traffic & { kind: 'reads' },
  ...tools: Tools
): RequestSource {
  const [sign] = tools
  return uniformRequests(
    {
      prepared,
      request: (i) =>
        getRequest(
          call.replace(':eventId', String(1 + scatter(i, events))),
          sign(`u${scatter(i, users)}`, `r${i}`),
        ),
      code: (_, { status, body }) =>
        status === 200 && body.includes(PART_OF[call]) ? result.found : result.wrong,
    },
    ...tools,
  )
}

/** Number of different members of staff. */
const STAFF = 1000

function pages(
  { paths, part, prepared }: Traffic & { kind: 'pages' },
  ...tools: Tools
): RequestSource {
  const [sign] = tools
  return uniformRequests(
    {
      prepared,
      request: (i) =>
        getRequest(paths[i % paths.length] as string, sign(`s${i % STAFF}`, `g${i}`, 'admin')),
      code: (_, { status, body }) =>
        status === 200 && body.includes(part) ? result.found : result.wrong,
    },
    ...tools,
  )
}

function polls(
  { eventId, after, prepared }: Traffic & { kind: 'polls' },
  ...[sign, record, wrongAnswers]: Tools
): RequestSource {
  const results = new Uint8Array(prepared)
  const tokens = Array.from({ length: prepared }, (_, i) => sign(`s${i % STAFF}`, `l${i}`, 'admin'))
  // The driver asks for the next request of a connection as soon as it has passed on the response.
  let last = after
  let next = 0
  return {
    next() {
      if (next === prepared) return undefined
      const index = next++
      const from = last
      const path = `/events/${eventId}/changes?after=${from}`
      return {
        bytes: Buffer.from(getRequest(path, tokens[index], 'prefer: wait=10\r\n'), 'latin1'),
        take(answer) {
          last = Number(/"next":(\d+)/.exec(answer.body)?.[1])
          const isRight = answer.status === 200 && last > from
          record(results, index, isRight ? result.found : result.wrong, answer)
        },
      }
    },
    skipFirstEvent: () => undefined,
    results: () => ({ booked: results, canceled: new Uint8Array(0), wrongAnswers }),
  }
}

function forbidden(
  { prepared, eventId }: Traffic & { kind: 'forbidden' },
  ...tools: Tools
): RequestSource {
  const [sign] = tools
  return uniformRequests(
    {
      prepared,
      request: (i) =>
        postRequest('/book', sign(`u${i}`, `f${i}`), `{"eventId":${eventId},"userId":"other"}`),
      code: (_, { status }) => (status === 403 ? result.forbidden : result.wrong),
    },
    ...tools,
  )
}

interface UniformRequests {
  prepared: number
  request: (index: number) => string
  /** @returns the result code of a response */
  code: (index: number, answer: Answer) => number
}

function uniformRequests(
  { prepared, request, code }: UniformRequests,
  ...[, record, wrongAnswers]: Tools
): RequestSource {
  const requests = writeRequests(prepared, request)
  const results = new Uint8Array(prepared)
  let next = 0
  return {
    next() {
      if (next === prepared) return undefined
      const index = next++
      return {
        bytes: requests.at(index),
        take: (answer) => record(results, index, code(index, answer), answer),
      }
    },
    skipFirstEvent: () => undefined,
    results: () => ({ booked: results, canceled: new Uint8Array(0), wrongAnswers }),
  }
}
