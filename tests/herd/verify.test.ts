import { describe, expect, it } from 'vitest'
import { type EventLists, type Purchase, verify } from './verify.ts'

const at = (second: number) => new Date(second * 1000).toISOString()

/** Six buyers book three tickets, one after the other, and the second one cancels. */
function createRun() {
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
  it('reports nothing if every promise was kept', () => {
    expect(verify(createRun())).toEqual({
      booked: 3,
      waiting: 3,
      promoted: 1,
      oversold: 0,
      outOfOrder: 0,
      unanswered: 0,
      problems: [],
    })
  })

  it('counts bookings beyond the number of tickets', () => {
    const run = createRun()
    run.after.bookings.push({ userId: 'e', bookedAt: at(8), promoted: false })
    expect(verify(run).oversold).toBe(1)
  })

  it('reports a promotion that skips the head of the waiting list', () => {
    const run = createRun()
    run.after.bookings[2] = { userId: 'e', bookedAt: at(7), promoted: true }
    run.after.waiting[0] = { userId: 'd', position: 1, since: at(4) }
    expect(verify(run).outOfOrder).toBe(2)
  })

  it('reports a request that was sent after another was accepted, but was decided first', () => {
    const run = createRun()
    run.before.waiting = ['d', 'f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(4 + i),
    }))
    run.after.waiting = ['f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(5 + i),
    }))
    for (const purchase of run.purchases) purchase.position = undefined
    const findings = verify(run)
    expect(findings.outOfOrder).toBe(1)
    expect(findings.problems[0]).toMatch(/^f sent its request after e was accepted/)
  })

  it('accepts any order of requests that were sent at the same time', () => {
    const run = createRun()
    for (const purchase of run.purchases)
      Object.assign(purchase, { sentAtMs: 0, acceptedAtMs: 9, position: undefined })
    run.before.waiting = ['d', 'f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(4 + i),
    }))
    run.after.waiting = ['f', 'e'].map((userId, i) => ({
      userId,
      position: i + 1,
      since: at(5 + i),
    }))
    expect(verify(run).outOfOrder).toBe(0)
  })

  it('reports answers that contradict the lists', () => {
    const run = createRun()
    const [, , , d, e] = run.purchases as [Purchase, Purchase, Purchase, Purchase, Purchase]
    d.position = 2
    e.outcome = 'booked'
    const findings = verify(run)
    expect(findings.outOfOrder).toBe(2)
    expect(findings.oversold).toBe(1)
  })

  it('counts buyers without an outcome', () => {
    const run = createRun()
    ;(run.purchases[5] as Purchase).outcome = undefined
    expect(verify(run).unanswered).toBe(1)
  })
})
