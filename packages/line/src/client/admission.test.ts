import { describe, expect, it } from 'vitest'
import type { Admitted, DepthCounter, EventCounts } from '../depth.js'
import { createReadiness } from '../recovery/readiness.js'
import { createAdmission } from './admission.js'

interface Asked {
  lineName: string
  counts: EventCounts
  limit: number | undefined
  registers: boolean
  generation: string
  reply: (admitted: Admitted) => void
  fail: (error: Error) => void
}

/** An admission whose counts the test answers by hand, in the order of asking. */
function given({ maxDepth = 10 } = {}) {
  const asked: Asked[] = []
  let nowMs = 0
  const takenBack: [string, EventCounts][] = []
  const readiness = createReadiness()
  readiness.becomeReady('one')
  const depth: DepthCounter = {
    admit: (lineName, counts, limit, registers, generation) =>
      new Promise((reply, fail) =>
        asked.push({ lineName, counts, limit, registers, generation, reply, fail }),
      ),
    takeBack: (lineName, counts) => takenBack.push([lineName, counts]),
    forget: async () => false,
  }
  const admission = createAdmission({
    depth,
    maxDepth,
    readiness,
    clock: { wallMs: () => nowMs, steadyMs: () => nowMs },
  })
  const log: string[] = []
  /** Admits commands, and logs the result when it is there. */
  const admit = (name: string, count: number, lineName = 'a', eventId = 1): void => {
    const admitted = admission.admit(lineName, new Map([[eventId, count]]))
    if (!(admitted instanceof Promise)) log.push(`${name} at once`)
    else
      admitted.then(
        (counts) => log.push(`${name} ${[...counts.values()].join()}`),
        () => log.push(`${name} failed`),
      )
  }
  /** Replies to the n-th count. */
  const reply = (
    index: number,
    admitted: number,
    depthAfter = admitted,
    eventId = 1,
    waitMs?: number,
    isReady = true,
  ): void =>
    asked[index]?.reply({ isReady, events: [{ eventId, admitted, depth: depthAfter }], waitMs })
  const replyUnready = (index: number, admitted: number): void =>
    reply(index, admitted, admitted, 1, undefined, false)
  const advance = (ms: number): number => {
    nowMs += ms
    return nowMs
  }
  return { admission, admit, asked, log, reply, replyUnready, takenBack, readiness, advance }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('admission in a Redis that has lost its generation', () => {
  it('becomes unsure, and leaves the count of a job that is on its way', async () => {
    const { admit, asked, log, replyUnready, takenBack, readiness } = given({ maxDepth: 20_000 })
    admit('x', 2)
    expect(asked[0]?.generation).toBe('one')

    replyUnready(0, 2)
    await settle()

    expect(log).toEqual(['x at once'])
    expect(readiness.isReady()).toBe(false)
    expect(takenBack).toEqual([])
  })

  it('fails close to the limit, and takes its count back', async () => {
    const { admit, log, replyUnready, takenBack, readiness } = given()
    admit('x', 2)

    replyUnready(0, 2)
    await settle()

    expect(log).toEqual(['x failed'])
    expect(readiness.isReady()).toBe(false)
    expect(takenBack).toEqual([['a', new Map([[1, 2]])]])
  })

  it('stays sure if the count was sent before the process learned the present generation', async () => {
    const { admit, replyUnready, readiness } = given({ maxDepth: 20_000 })
    admit('x', 2)
    readiness.becomeReady('two')

    replyUnready(0, 2)
    await settle()

    expect(readiness.generation()).toBe('two')
  })
})

describe('admission far from the depth limit', () => {
  it('admits at once, and counts without a limit', () => {
    const { admit, asked, log } = given({ maxDepth: 20_000 })

    admit('x', 2)

    expect(log).toEqual(['x at once'])
    expect(asked).toMatchObject([{ lineName: 'a', limit: undefined, counts: new Map([[1, 2]]) }])
  })

  it('waits for the count after the depth has come close to the limit', async () => {
    const { admit, asked, log, reply } = given({ maxDepth: 20_000 })
    admit('x', 2)
    reply(0, 2, 18_000)
    await settle()

    admit('y', 1)

    expect(log).toEqual(['x at once'])
    expect(asked[1]).toMatchObject({ limit: 20_000 })
  })

  it('registers a line at most every 500 ms', () => {
    const { admit, asked, advance } = given({ maxDepth: 20_000 })

    admit('x', 1)
    admit('y', 1)
    advance(500)
    admit('z', 1)

    expect(asked.map(({ registers }) => registers)).toEqual([true, false, true])
  })

  it('registers a line again after a count failed', async () => {
    const { admit, asked } = given({ maxDepth: 20_000 })
    admit('x', 1)
    asked[0]?.fail(new Error('no reply'))
    await settle()

    admit('y', 1)

    expect(asked[1]?.registers).toBe(true)
  })
})

describe('admission close to the depth limit', () => {
  it('waits for the count, and admits as many commands as it says', async () => {
    const { admit, asked, log, reply } = given()

    admit('xyz', 3)
    expect(asked[0]).toMatchObject({ counts: new Map([[1, 3]]), limit: 10 })
    reply(0, 2)
    await settle()

    expect(log).toEqual(['xyz 2'])
  })

  it('registers a line again after nothing was admitted', async () => {
    const { admit, asked, log, reply } = given()
    admit('x', 2)
    reply(0, 0, 10)
    await settle()
    admit('y', 1)

    expect(log).toEqual(['x 0'])
    expect(asked.map(({ registers }) => registers)).toEqual([true, true])
  })

  it('keeps the order of a line while a count is awaited', async () => {
    const { admit, asked, log, reply } = given()
    admit('x', 1)
    admit('y', 1)
    await settle()
    expect(asked).toHaveLength(1)

    reply(0, 1)
    await settle()
    reply(1, 1)
    await settle()

    expect(log).toEqual(['x 1', 'y 1'])
  })

  it('fails at once for all that wait behind a count that failed, and starts again', async () => {
    const { admit, asked, log, reply } = given()
    admit('x', 1)
    admit('y', 1)
    admit('z', 1)
    admit('o', 1, 'b')

    asked[0]?.fail(new Error('no reply'))
    await settle()
    // If each asked for itself, each would wait as long again, one after the other.
    expect(log).toEqual(['x failed', 'y failed', 'z failed'])

    admit('w', 1)
    reply(1, 1)
    reply(2, 1)
    await settle()
    expect(log.slice(3)).toEqual(['o 1', 'w 1'])
  })

  it('does not let one line wait for another', async () => {
    const { admit, log, reply } = given()
    admit('x', 1)
    admit('y', 1, 'b', 2)

    reply(1, 1, 1, 2)
    await settle()

    expect(log).toEqual(['y 1'])
  })

  it('admits no later call at once before the caller of an earlier one goes on', async () => {
    const { admit, log, reply } = given({ maxDepth: 4096 })
    admit('x', 3000)
    reply(0, 3000, 0)
    // As a timer that fires when the count is there.
    await Promise.resolve()
    admit('y', 1)
    await settle()

    expect(log).toEqual(['x 3000', 'y 1'])
  })
})

describe('the wait of a line', () => {
  it('is that of the last count, and unknown again once the line has no pace', async () => {
    const { admission, admit, reply } = given({ maxDepth: 20_000 })
    const waits: (number | undefined)[] = [admission.waitMs('a')]
    for (const [index, waitMs] of [12_000, 15_000, undefined].entries()) {
      admit('x', 1)
      reply(index, 1, 1, 1, waitMs)
      await settle()
      waits.push(admission.waitMs('a'))
    }

    expect(waits).toEqual([undefined, 12_000, 15_000, undefined])
    expect(admission.waitMs('b')).toBeUndefined()
  })
})
