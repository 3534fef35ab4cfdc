import { describe, expect, it, vi } from 'vitest'
import type { Counts } from './entrance.js'
import { createGate } from './gate.js'
import { createWaiter, type Waiter } from './jobs-in-flight.js'

/** A gate whose counts are answered by hand, in order of asking, or at once where `counted` says so. */
function given(counted?: Counts) {
  const jobs: string[] = []
  const answers: string[] = []
  const asked: { counts: Counts; grant: (counts: Counts) => void; fail: (error: Error) => void }[] =
    []
  const onFailure = vi.fn()
  const gate = createGate({
    entrance: {
      enter: (_lineName, counts) =>
        counted ?? new Promise((grant, fail) => asked.push({ counts, grant, fail })),
      leave: () => undefined,
    },
    startJob: (lineName, waiters) => jobs.push(`${lineName} ${waiters.map(nameOf).join('')}`),
    onFailure: (lineName, waiters) => onFailure(lineName, waiters.map(nameOf).join('')),
  })
  const nameOf = (waiter: Waiter): string => waiter.request.userId
  const send = (users: string, lineName = 'a', eventId = 1): void =>
    gate(
      lineName,
      [...users].map((userId) => {
        const request = { type: 'book', eventId, userId, caller: userId } as const
        return {
          request,
          ticket: createWaiter(request, 0, false, ({ kind }) => answers.push(`${userId} ${kind}`)),
        }
      }),
    )
  return { send, jobs, answers, asked, onFailure }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the way into a line', () => {
  it('is open at once far from the bound', () => {
    const { send, jobs } = given(new Map([[1, 2]]))

    send('xy')

    expect(jobs).toEqual(['a xy'])
  })

  it('lets in the first of them as far as the bound allows, and tells the others that it is busy', async () => {
    const { send, jobs, answers, asked } = given()

    send('xyz')
    expect(asked[0]?.counts).toEqual(new Map([[1, 3]]))
    asked[0]?.grant(new Map([[1, 2]]))
    await settle()

    expect(jobs).toEqual(['a xy'])
    expect(answers).toEqual(['z busy'])
  })

  it('tells of a job of nobody where none may enter', async () => {
    const { send, jobs, answers, asked } = given()

    send('xy')
    asked[0]?.grant(new Map([[1, 0]]))
    await settle()

    expect(jobs).toEqual(['a '])
    expect(answers).toEqual(['x busy', 'y busy'])
  })

  it('keeps the order of a line while a count is awaited', async () => {
    const { send, jobs, asked } = given()
    send('x')
    send('y')
    await settle()
    expect(asked).toHaveLength(1)

    asked[0]?.grant(new Map([[1, 1]]))
    await settle()
    asked[1]?.grant(new Map([[1, 1]]))
    await settle()

    expect(jobs).toEqual(['a x', 'a y'])
  })

  it('fails at once for all who wait behind a count that cannot be had, and is open again', async () => {
    const { send, jobs, asked, onFailure } = given()
    send('x')
    send('y')
    send('z')
    send('o', 'b')

    asked[0]?.fail(new Error('no answer'))
    await settle()
    // Each asking for itself would wait as long again, one after the other.
    expect(onFailure.mock.calls).toEqual([
      ['a', 'x'],
      ['a', 'y'],
      ['a', 'z'],
    ])

    send('w')
    asked[1]?.grant(new Map([[1, 1]]))
    asked[2]?.grant(new Map([[1, 1]]))
    await settle()
    expect(jobs).toEqual(['b o', 'a w'])
  })

  it('does not let one line wait for another', async () => {
    const { send, jobs, asked } = given()
    send('x')
    send('y', 'b', 2)

    asked[1]?.grant(new Map([[2, 1]]))
    await settle()

    expect(jobs).toEqual(['b y'])
  })
})
