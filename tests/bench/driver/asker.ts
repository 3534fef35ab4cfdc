import { type Asks, cancelerOf, type DriverReport, eventOf, result, scatter } from './plan.ts'
import {
  createSigner,
  getRequest,
  postRequest,
  type RequestBook,
  writeRequests,
} from './requests.ts'
import type { Answer } from './response.ts'

/** One request to send, and where its answer is noted. */
export interface Ask {
  request: Uint8Array
  take(answer: Answer): void
}

/** Says what is asked next, and keeps what was answered. */
export interface Asker {
  /** undefined once everything prepared was used */
  next(): Ask | undefined
  /** Leaves out what is left of the bookings that are all of the first event. */
  leaveFirstEvent(): void
  results(): Pick<DriverReport, 'booked' | 'canceled' | 'wrongAnswers'>
}

const WRONG_KEPT = 5

const meanings: Record<string, number> = {
  '{"message":"Ticket booked"}': result.booked,
  '{"message":"Added to waiting list"}': result.waiting,
  '{"message":"Booking canceled"}': result.canceled,
  '{"message":"Removed from waiting list"}': result.withdrawn,
}

export function createAsker(asks: Asks, jwtSecret: string, nowMs: number): Asker {
  const sign = createSigner(jwtSecret, nowMs)
  const wrongAnswers: Answer[] = []
  function note(results: Uint8Array, index: number, code: number, answer: Answer): void {
    results[index] = code
    if (code === result.wrong && wrongAnswers.length < WRONG_KEPT) wrongAnswers.push(answer)
  }
  switch (asks.kind) {
    case 'bookings':
      return bookings(asks, sign, note, wrongAnswers)
    case 'positions':
      return positions(asks, sign, note, wrongAnswers)
    case 'forbidden':
      return forbidden(asks, sign, note, wrongAnswers)
  }
}

type Sign = ReturnType<typeof createSigner>
type Note = (results: Uint8Array, index: number, code: number, answer: Answer) => void

type Tools = [sign: Sign, note: Note, wrongAnswers: Answer[]]

function bookings(asks: Asks & { kind: 'bookings' }, ...[sign, note, wrongAnswers]: Tools): Asker {
  const { cancelsInTen, holders, prepared, onFirstEvent } = asks
  const cancels = Math.ceil((prepared * cancelsInTen) / 10)
  const body = (booking: number) => `{"eventId":${eventOf(booking, asks)}}`
  const bookRequests = writeRequests(prepared - cancels, (i) =>
    postRequest('/book', sign(`u${i}`, `b${i}`), body(i)),
  )
  const cancelRequests = writeRequests(cancels, (i) => {
    const { user, booking } = cancelerOf(i, holders)
    return postRequest('/cancel', sign(user, `c${i}`), body(booking ?? i))
  })
  const booked = new Uint8Array(bookRequests.count)
  const canceled = new Uint8Array(cancels)
  let nextBooking = 0
  let nextCancel = 0
  let asked = 0

  function ask(
    book: RequestBook,
    results: Uint8Array,
    index: number,
    expected: readonly number[],
  ): Ask {
    results[index] = result.unanswered
    return {
      request: book.at(index),
      take(answer) {
        const code = answer.status === 200 ? (meanings[answer.body] ?? result.wrong) : result.wrong
        note(results, index, expected.includes(code) ? code : result.wrong, answer)
      },
    }
  }

  /** The oldest claim that is known to stand; one whose booking is still on its way is not overtaken. */
  function mayCancel(): boolean {
    for (; nextCancel < cancels; nextCancel++) {
      const { booking } = cancelerOf(nextCancel, holders)
      if (booking === undefined) return true
      const state = booked[booking]
      if (state === result.wrong) continue
      return state === result.booked || state === result.waiting
    }
    return false
  }

  return {
    next() {
      const turn = (asked++ * cancelsInTen) % 10
      if (turn < cancelsInTen && mayCancel()) {
        return ask(cancelRequests, canceled, nextCancel++, [result.canceled, result.withdrawn])
      }
      if (nextBooking === bookRequests.count) return undefined
      return ask(bookRequests, booked, nextBooking++, [result.booked, result.waiting])
    },
    leaveFirstEvent() {
      nextBooking = Math.max(nextBooking, onFirstEvent)
    },
    results: () => ({ booked, canceled, wrongAnswers }),
  }
}

function positions(asks: Asks & { kind: 'positions' }, ...tools: Tools): Asker {
  const [sign] = tools
  const waiterOf = (i: number) => scatter(i, asks.waiters)
  return oneOfAKind(
    {
      prepared: asks.prepared,
      request: (i) => getRequest(`/events/${asks.eventId}/me`, sign(`w${waiterOf(i)}`, `p${i}`)),
      code: (i, { status, body }) =>
        status === 200 && body.includes(`"position":${waiterOf(i) + 1},`)
          ? result.found
          : result.wrong,
    },
    ...tools,
  )
}

function forbidden({ prepared, eventId }: Asks & { kind: 'forbidden' }, ...tools: Tools): Asker {
  const [sign] = tools
  return oneOfAKind(
    {
      prepared,
      request: (i) =>
        postRequest('/book', sign(`u${i}`, `f${i}`), `{"eventId":${eventId},"userId":"other"}`),
      code: (_, { status }) => (status === 403 ? result.forbidden : result.wrong),
    },
    ...tools,
  )
}

interface Kind {
  prepared: number
  request: (index: number) => string
  /** What an answer means. */
  code: (index: number, answer: Answer) => number
}

function oneOfAKind({ prepared, request, code }: Kind, ...[, note, wrongAnswers]: Tools): Asker {
  const requests = writeRequests(prepared, request)
  const results = new Uint8Array(prepared)
  let next = 0
  return {
    next() {
      if (next === prepared) return undefined
      const index = next++
      return {
        request: requests.at(index),
        take: (answer) => note(results, index, code(index, answer), answer),
      }
    },
    leaveFirstEvent: () => undefined,
    results: () => ({ booked: results, canceled: new Uint8Array(0), wrongAnswers }),
  }
}
