import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCommandBatcher, planJobs } from './batcher.js'

beforeEach(() => void vi.useFakeTimers({ now: 0 }))
afterEach(() => void vi.useRealTimers())

/** A batcher of letters. `sent` has each job with the time at which it was sent. */
function given() {
  const sent: string[] = []
  const batcher = createCommandBatcher<string>({
    onSend: (lineName, letters) => sent.push(`${Date.now()} ${lineName} ${letters.join('')}`),
    holdMs: 100,
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    soon: setImmediate,
  })
  const push = (letters: string, lineName = 'a'): void => {
    for (const letter of letters) batcher.add(lineName, letter)
  }
  return { batcher, push, sent }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a quiet line', () => {
  it('sends each command at once, in a job of its own', async () => {
    const { batcher, push, sent } = given()

    push('x')
    await pass(0)
    batcher.jobEnded('a')
    await pass(5)
    push('y')
    await pass(0)

    expect(sent).toEqual(['0 a x', '5 a y'])
  })

  it('sends what arrives in one turn of the event loop together', async () => {
    const { push, sent } = given()

    push('xyz')
    await pass(0)

    expect(sent).toEqual(['0 a xyz'])
  })

  it('does not wait for another line', async () => {
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

  it('gets a second job if that is worth it, and no third', async () => {
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

  it('gets a small job only after all others have ended', async () => {
    const { batcher, push, sent } = await busy()
    push('2'.repeat(32))
    await pass(0)
    push('3')

    batcher.jobEnded('a')
    await pass(10)
    expect(sent).toHaveLength(1)

    batcher.jobEnded('a')
    await pass(0)
    expect(sent[1]).toBe('10 a 3')
  })

  it('splits many commands between two jobs, and keeps splitting them', async () => {
    const { batcher, push, sent } = await busy()
    batcher.jobEnded('a')

    push('1'.repeat(200))
    await pass(0)
    expect(sent).toEqual([`0 a ${'1'.repeat(100)}`, `0 a ${'1'.repeat(100)}`])

    // The clients that were answered send their next commands.
    batcher.jobEnded('a')
    push('2'.repeat(100))
    await pass(0)
    expect(sent[2]).toBe(`0 a ${'2'.repeat(100)}`)
  })

  it('sends half of all commands in the next job if a small one is in flight', async () => {
    const { batcher, push, sent } = await busy()

    push('2'.repeat(201))
    await pass(50)
    expect(sent).toEqual([`0 a ${'2'.repeat(101)}`])

    batcher.jobEnded('a')
    await pass(0)
    expect(sent[1]).toBe(`50 a ${'2'.repeat(100)}`)
  })

  it('sends up to 64 commands in one job', async () => {
    const { push, sent } = await busy()

    push('2'.repeat(64))
    await pass(0)
    expect(sent).toEqual([`0 a ${'2'.repeat(64)}`])
  })

  it('holds commands that a job left behind no longer than the limit, counted from the first one', async () => {
    const { push, sent } = await busy()
    push('1')
    await pass(60)
    push('2'.repeat(200))
    await pass(50)

    expect(sent).toEqual([`60 a 1${'2'.repeat(100)}`, `100 a ${'2'.repeat(100)}`])
  })

  it('holds what arrives until a job has ended, and sends it as one job', async () => {
    const { batcher, push, sent } = await busy()

    push('1')
    await pass(10)
    push('23')
    await pass(10)
    expect(sent).toEqual([])
    expect(batcher.heldCount()).toBe(3)

    batcher.jobEnded('a')
    await pass(0)
    expect(sent).toEqual(['20 a 123'])
    expect(batcher.heldCount()).toBe(0)
  })

  it('holds no command for longer than the limit, counted from the first held command', async () => {
    const { push, sent } = await busy()

    push('1')
    await pass(60)
    push('2')
    await pass(60)

    expect(sent).toEqual(['100 a 12'])
  })

  it('does not send commands twice if a job ends just before the limit', async () => {
    const { batcher, push, sent } = await busy()
    push('1')
    await pass(99)
    batcher.jobEnded('a')
    await pass(500)

    expect(sent).toEqual(['99 a 1'])
  })

  it('starts the time again for what is held after a flush', async () => {
    const { batcher, push, sent } = await busy()
    push('1')
    await pass(80)
    batcher.flush('a')
    push('2')
    await pass(60)
    expect(sent).toEqual(['80 a 1'])

    await pass(60)
    expect(sent).toEqual(['80 a 1', '180 a 2'])
  })

  it('sends 256 commands at once, and the rest when its time comes', async () => {
    const { push, sent } = await busy()

    push('x'.repeat(300))
    await pass(50)

    expect(sent).toEqual([`0 a ${'x'.repeat(256)}`])
    await pass(60)
    expect(sent[1]).toBe(`100 a ${'x'.repeat(44)}`)
  })

  it('sends everything held, in order, with a flush', async () => {
    const { batcher, push, sent } = await busy()

    push('12')
    batcher.flush('a')
    push('3')
    batcher.flush('a')

    expect(sent).toEqual(['0 a 12', '0 a 3'])
  })

  it('stays in order if a flush comes between', async () => {
    const { batcher, push, sent } = await busy()
    batcher.jobEnded('a')

    push('1')
    batcher.flush('a')
    push('2')
    await pass(200)

    expect(sent.map((line) => line.split(' ')[2])).toEqual(['1', '2'])
  })
})

describe('a process that drains', () => {
  it('sees and sends everything that any line holds', async () => {
    const { batcher, push, sent } = given()
    for (const lineName of ['a', 'b']) {
      push('x', lineName)
      await pass(0)
      push('12', lineName)
    }
    sent.length = 0
    expect([...batcher.held()]).toEqual(['1', '2', '1', '2'])

    for (const lineName of batcher.lineNames()) batcher.flush(lineName)

    expect(sent).toEqual(['0 a 12', '0 b 12'])
    expect(batcher.heldCount()).toBe(0)
  })
})

describe('the plan for a line', () => {
  it.each<[string, number, number[], number[]]>([
    ['sends nothing if nothing is held', 0, [], []],
    ['sends a single command at once', 1, [], [1]],
    ['sends up to 64 commands as one job', 64, [], [64]],
    ['splits more than 64 commands so that the rest is worth a second job', 100, [], [64, 36]],
    ['keeps a rest that is too small for a second job', 90, [], [64]],
    ['sends two jobs of one size under load', 200, [], [100, 100]],
    ['never makes a job of more than 256 commands', 900, [], [256, 256]],
    ['holds a few commands while a job is in flight', 31, [10], []],
    ['sends a second job with 32 commands', 32, [10], [32]],
    ['counts the commands in flight into the split', 201, [1], [101]],
    ['sends nothing while two jobs are in flight', 200, [10, 10], []],
  ])('%s', (_what, held, inFlight, sizes) => {
    expect(planJobs(held, inFlight)).toEqual(sizes)
  })

  it('keeps the sum of commands and the limits for any state of a line', () => {
    for (let held = 0; held <= 600; held += 7) {
      for (const inFlight of [[], [1], [40], [256], [3, 200]]) {
        const sizes = planJobs(held, inFlight)
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(held)
        expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(256)
        expect(sizes.length + inFlight.length).toBeLessThanOrEqual(2)
        if (held > 0 && inFlight.length === 0) expect(sizes).not.toEqual([])
      }
    }
  })
})
