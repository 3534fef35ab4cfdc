import { describe, expect, it } from 'vitest'
import { type EventLists, type Purchase, verify } from './verify.ts'

const at = (second: number) => new Date(second * 1000).toISOString()

/** Six buyers, asking one after the other, for three tickets; the second one cancels. */
function given() {
  const users = ['a', 'b', 'c', 'd', 'e', 'f']
  const purchases: Purchase[] = users.map((userId, i) => ({
    userId,
    sentAtMs: i * 10,
    acceptedAtMs: i * 10 + 5,
    answeredAtMs: i * 10 + 6,
    outcome: i < 3 ? 'booked' : 'waiting',
    position: i < 3 ? undefined : i - 2,
  }))
  const booking = (userId: string, second: number, promoted = false) => ({
    userId,
    bookedAt: at(second),
    promoted,
  })
  const entry = (userId: string, position: number, second: number) => ({
    userId,
    position,
    since: at(second),
  })
  const before: EventLists = {
    bookings: [booking('a', 1), booking('b', 2), booking('c', 3)],
    waiting: [entry('d', 1, 4), entry('e', 2, 5), entry('f', 3, 6)],
    availableTickets: 0,
  }
  const after: EventLists = {
    bookings: [booking('a', 1), booking('c', 3), booking('d', 7, true)],
    waiting: [entry('e', 1, 5), entry('f', 2, 6)],
    availableTickets: 0,
  }
  return { tickets: 3, purchases, canceled: ['b'], before, after }
}

describe('verify', () => {
  it('finds nothing wrong where everything is in order', () => {
    expect(verify(given())).toEqual({
      booked: 3,
      waiting: 3,
      promoted: 1,
      oversold: 0,
      outOfOrder: 0,
      unanswered: 0,
      problems: [],
    })
  })

  it('counts tickets sold beyond the last', () => {
    const input = given()
    input.after.bookings.push({ userId: 'e', bookedAt: at(8), promoted: false })
    expect(verify(input).oversold).toBe(1)
  })

  it('sees a promotion that passed the head of the list over', () => {
    const input = given()
    input.after.bookings[2] = { userId: 'e', bookedAt: at(7), promoted: true }
    input.after.waiting[0] = { userId: 'd', position: 1, since: at(4) }
    expect(verify(input).outOfOrder).toBe(2)
  })

  it('sees somebody who asked later and was decided first', () => {
    const input = given()
    input.before.waiting = ['d', 'f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(4 + i),
    }))
    input.after.waiting = ['f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(5 + i),
    }))
    for (const purchase of input.purchases) purchase.position = undefined
    const findings = verify(input)
    expect(findings.outOfOrder).toBe(1)
    expect(findings.problems[0]).toMatch(/^f asked after e had been accepted/)
  })

  it('lets those who asked at the same time be decided in any order', () => {
    const input = given()
    for (const purchase of input.purchases)
      Object.assign(purchase, { sentAtMs: 0, acceptedAtMs: 9, position: undefined })
    input.before.waiting = ['d', 'f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(4 + i),
    }))
    input.after.waiting = ['f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(5 + i),
    }))
    expect(verify(input).outOfOrder).toBe(0)
  })

  it('sees an answer that the lists contradict', () => {
    const input = given()
    const [, , , d, e] = input.purchases as [Purchase, Purchase, Purchase, Purchase, Purchase]
    d.position = 2
    e.outcome = 'booked'
    const findings = verify(input)
    expect(findings.outOfOrder).toBe(2)
    expect(findings.oversold).toBe(1)
  })

  it('counts who was left without an answer', () => {
    const input = given()
    ;(input.purchases[5] as Purchase).outcome = undefined
    expect(verify(input).unanswered).toBe(1)
  })
})
