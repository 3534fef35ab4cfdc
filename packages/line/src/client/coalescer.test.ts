import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCoalescer } from './coalescer.js'

beforeEach(() => void vi.useFakeTimers({ now: 0 }))
afterEach(() => void vi.useRealTimers())

/** A coalescer of letters; each job that it sent is written down with its time. */
function given() {
  const sent: string[] = []
  const coalescer = createCoalescer<string>({
    send: (lineName, held) =>
      sent.push(`${Date.now()} ${lineName} ${held.map((one) => one.ticket).join('')}`),
    holdMs: 100,
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    soon: setImmediate,
  })
  const push = (letters: string, lineName = 'a'): void => {
    for (const ticket of letters) {
      const request = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' } as const
      coalescer.push(lineName, { request, ticket })
    }
  }
  return { coalescer, push, sent }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a quiet line', () => {
  it('sends each command at once', async () => {
    const { coalescer, push, sent } = given()

    push('x')
    await pass(0)
    coalescer.jobDone('a')
    await pass(5)
    push('y')
    await pass(0)

    expect(sent).toEqual(['0 a x', '5 a y'])
  })

  it('sends what arrives in one moment together', async () => {
    const { push, sent } = given()

    push('xyz')
    await pass(0)

    expect(sent).toEqual(['0 a xyz'])
  })

  it('does not wait for another', async () => {
    const { push, sent } = given()
    push('x')
    await pass(0)
    push('y')
    await pass(0)

    push('q', 'b')
    await pass(0)

    expect(sent).toEqual(['0 a x', '0 b q'])
  })
})

describe('a line with a job in flight', () => {
  async function busy() {
    const all = given()
    all.push('x')
    await pass(0)
    all.sent.length = 0
    return all
  }

  it('gets a second one where that is worth it, and no third', async () => {
    const { push, sent } = await busy()

    push('2'.repeat(31))
    await pass(0)
    expect(sent).toEqual([])

    push('2')
    await pass(0)
    expect(sent).toEqual([`0 a ${'2'.repeat(32)}`])

    push('3'.repeat(32))
    await pass(50)
    expect(sent).toHaveLength(1)
  })

  it('gets a small one only once all are done', async () => {
    const { coalescer, push, sent } = await busy()
    push('2'.repeat(32))
    await pass(0)
    push('3')

    coalescer.jobDone('a')
    await pass(10)
    expect(sent).toHaveLength(1)

    coalescer.jobDone('a')
    await pass(0)
    expect(sent[1]).toBe('10 a 3')
  })

  it('shares a crowd between two jobs, and keeps sharing it', async () => {
    const { coalescer, push, sent } = await busy()
    coalescer.jobDone('a')

    push('1'.repeat(200))
    await pass(0)
    expect(sent).toEqual([`0 a ${'1'.repeat(100)}`, `0 a ${'1'.repeat(100)}`])

    // Those who were answered ask again.
    coalescer.jobDone('a')
    push('2'.repeat(100))
    await pass(0)
    expect(sent[2]).toBe(`0 a ${'2'.repeat(100)}`)
  })

  it('takes half of all for the next job, where one that is small is in flight', async () => {
    const { coalescer, push, sent } = await busy()

    push('2'.repeat(201))
    await pass(50)
    expect(sent).toEqual([`0 a ${'2'.repeat(101)}`])

    coalescer.jobDone('a')
    await pass(0)
    expect(sent[1]).toBe(`50 a ${'2'.repeat(100)}`)
  })

  it('does not divide what one job does as well', async () => {
    const { push, sent } = await busy()

    push('2'.repeat(64))
    await pass(0)
    expect(sent).toEqual([`0 a ${'2'.repeat(64)}`])
  })

  it('counts the bound for what a job left behind from when the first was held', async () => {
    const { push, sent } = await busy()
    push('1')
    await pass(60)
    push('2'.repeat(200))
    await pass(50)

    expect(sent).toEqual([`60 a 1${'2'.repeat(100)}`, `100 a ${'2'.repeat(100)}`])
  })

  it('holds what arrives until one is done, and sends it as one job', async () => {
    const { coalescer, push, sent } = await busy()

    push('1')
    await pass(10)
    push('23')
    await pass(10)
    expect(sent).toEqual([])
    expect(coalescer.heldCount()).toBe(3)

    coalescer.jobDone('a')
    await pass(0)
    expect(sent).toEqual(['20 a 123'])
    expect(coalescer.heldCount()).toBe(0)
  })

  it('holds nothing for longer than the bound, counted from the first that was held', async () => {
    const { push, sent } = await busy()

    push('1')
    await pass(60)
    push('2')
    await pass(60)

    expect(sent).toEqual(['100 a 12'])
  })

  it('is not sent twice where a job is done just before the bound', async () => {
    const { coalescer, push, sent } = await busy()
    push('1')
    await pass(99)
    coalescer.jobDone('a')
    await pass(500)

    expect(sent).toEqual(['99 a 1'])
  })

  it('starts the bound anew for what is held after a flush', async () => {
    const { coalescer, push, sent } = await busy()
    push('1')
    await pass(80)
    coalescer.flush('a')
    push('2')
    await pass(60)
    expect(sent).toEqual(['80 a 1'])

    await pass(60)
    expect(sent).toEqual(['80 a 1', '180 a 2'])
  })

  it('sends 256 commands without waiting, and the rest when its time comes', async () => {
    const { push, sent } = await busy()

    push('x'.repeat(300))
    await pass(50)

    expect(sent).toEqual([`0 a ${'x'.repeat(256)}`])
    await pass(60)
    expect(sent[1]).toBe(`100 a ${'x'.repeat(44)}`)
  })

  it('sends everything held, in order, when one must not wait', async () => {
    const { coalescer, push, sent } = await busy()

    push('12')
    coalescer.flush('a')
    push('3')
    coalescer.flush('a')

    expect(sent).toEqual(['0 a 12', '0 a 3'])
  })

  it('stays in order where a flush comes between', async () => {
    const { coalescer, push, sent } = await busy()
    coalescer.jobDone('a')

    push('1')
    coalescer.flush('a')
    push('2')
    await pass(200)

    expect(sent.map((line) => line.split(' ')[2])).toEqual(['1', '2'])
  })
})

describe('when the process drains', () => {
  it('everything of all lines is shown and sent', async () => {
    const { coalescer, push, sent } = given()
    for (const lineName of ['a', 'b']) {
      push('x', lineName)
      await pass(0)
      push('12', lineName)
    }
    sent.length = 0
    const seen: string[] = []

    coalescer.flushAll((ticket) => seen.push(ticket))

    expect(seen).toEqual(['1', '2', '1', '2'])
    expect(sent).toEqual(['0 a 12', '0 b 12'])
    expect(coalescer.heldCount()).toBe(0)
  })
})
