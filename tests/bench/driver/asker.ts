import { type Asks, cancelerOf, type DriverReport, eventOf, result, scatter } from './plan.ts'
import { createSigner, getRequest, postRequest, type RequestBook, writeRequests } from './requests.ts'
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
  return asks.kind === 'bookings'
    ? bookings(asks, sign, note, wrongAnswers)
    : positions(asks, sign, note, wrongAnswers)
}

type Sign = ReturnType<typeof createSigner>
type Note = (results: Uint8Array, index: number, code: number, answer: Answer) => void

function bookings(asks: Asks & { kind: 'bookings' }, sign: Sign, note: Note, wrongAnswers: Answer[]): Asker {
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

  function ask(book: RequestBook, results: Uint8Array, index: number, expected: readonly number[]): Ask {
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

function positions(
  { eventId, waiters, prepared }: Asks & { kind: 'positions' },
  sign: Sign,
  note: Note,
  wrongAnswers: Answer[],
): Asker {
  const waiterOf = (i: number) => scatter(i, waiters)
  const requests = writeRequests(prepared, (i) =>
    getRequest(`/events/${eventId}/me`, sign(`w${waiterOf(i)}`, `p${i}`)),
  )
  const found = new Uint8Array(prepared)
  let next = 0
  return {
    next() {
      if (next === prepared) return undefined
      const index = next++
      return {
        request: requests.at(index),
        take(answer) {
          const right = answer.body.includes(`"position":${waiterOf(index) + 1},`)
          note(found, index, right && answer.status === 200 ? result.found : result.wrong, answer)
        },
      }
    },
    leaveFirstEvent: () => undefined,
    results: () => ({ booked: found, canceled: new Uint8Array(0), wrongAnswers }),
  }
}
