import type { StoredCommand } from '@ticket-line/db'
import type { CommandRequest, JobPayload, Outcome, RefusedOutcome } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineQueues } from '../queues.js'
import { createFinder } from './finder.js'
import type { CommandView } from './line-client.js'

beforeEach(() => void vi.useFakeTimers({ now: 1_785_000_000_000 }))
afterEach(() => void vi.useRealTimers())

const middle = 'a'.repeat(21)
const jobId = `event-7.${middle}.3`
const commandId = `${jobId}.2`
const acceptedAtMs = 1_784_999_999_000
const commands = ['ann', 'bob', 'eve'].map(
  (userId): CommandRequest => ({ type: 'book', eventId: 7, userId, caller: userId }),
)
const booked: Outcome = { outcome: 'booked', bookingId: '7-1', decidedAtMs: 5 }

type Stored = Outcome | RefusedOutcome | undefined

/** A finder over a line that answers `place`, and a PostgreSQL whose answers are given in order, the last for good. */
function given(world: {
  stored?: (Stored | Error)[]
  payload?: unknown
  place?: (number | string)[]
  lookMs?: number
}) {
  const answers = [...(world.stored ?? [])]
  const asked: string[] = []
  const kept: string[] = []
  let looks = 0
  const payload: JobPayload = { v: 1, replyTo: 'api-1', acceptedAtMs, commands }
  const redis = {
    defineCommand: () => undefined,
    ticketsPlace: async (...keys: string[]) => {
      asked.push(...keys)
      return world.place ?? [-1]
    },
  }
  const find = createFinder({
    redis: redis as unknown as Redis,
    queues: {
      queueOf: () => ({
        getJob: async () => ({ data: 'payload' in world ? world.payload : payload }),
      }),
    } as unknown as LineQueues,
    layout: { lines: 0, shards: 1, keyPrefix: 'test' },
    async findStored() {
      looks += 1
      if (world.lookMs !== undefined)
        await new Promise((resolve) => setTimeout(resolve, world.lookMs))
      const outcome = answers.length > 1 ? answers.shift() : answers[0]
      if (outcome instanceof Error) throw outcome
      if (outcome === undefined) return undefined
      const { caller: _caller, ...asked } = commands[2] as CommandRequest
      return {
        command: { ...asked, commandId, caller: 'eve' },
        acceptedAtMs,
        outcome,
      } as StoredCommand
    },
    async keepInLine(_lineName, id) {
      kept.push(id)
      return true
    },
    monotonicMs: () => Date.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  })
  return { find, asked, kept, looks: () => looks }
}

const anybody = (): boolean => true

async function after<T>(ms: number, promise: Promise<T>): Promise<T> {
  await vi.advanceTimersByTimeAsync(ms)
  return promise
}

describe('a command in the line', () => {
  it('is queued behind the commands of the jobs in front, and those before it in its own', async () => {
    const place = [1, 1, `event-7.${middle}.10`, `event-7.${middle}.20`]
    const { find, asked } = given({ place })

    const view = await find(commandId, 0, anybody)

    expect(view).toEqual<CommandView>({
      commandId,
      type: 'book',
      eventId: 7,
      userId: 'eve',
      caller: 'eve',
      state: 'queued',
      ahead: 32,
      acceptedAtMs,
    })
    const lists = ['wait', 'active', 'prioritized'].map((list) => `test{s0}:event-7:${list}`)
    expect(asked.slice(0, 4)).toEqual([...lists, jobId])
  })

  it('is estimated to be behind as many commands as the jobs that were counted have on average', async () => {
    const counted = Array.from({ length: 500 }, () => `event-7.${middle}.4`)
    const { find } = given({ place: [1, 1500, ...counted] })

    expect(await find(commandId, 0, anybody)).toMatchObject({ ahead: 6002 })
  })

  it('is queued behind everything in the line if its job stands in no list, and is put back into its line', async () => {
    const { find, kept } = given({ place: [-1, 7] })

    expect(await find(commandId, 0, anybody)).toMatchObject({ state: 'queued', ahead: 9 })
    expect(kept).toEqual([jobId])
  })

  it('is queued behind the waiting jobs if its job was given a priority', async () => {
    const { find, kept } = given({ place: [1, 3] })

    expect(await find(`${jobId}.0`, 0, anybody)).toMatchObject({ state: 'queued', ahead: 3 })
    expect(kept).toEqual([])
  })

  it('is first where nothing is in front', async () => {
    const { find } = given({ place: [1, 0] })

    expect(await find(`${jobId}.0`, 0, anybody)).toMatchObject({ state: 'queued', ahead: 0 })
  })

  it('is active with its job, and nothing is in front of it', async () => {
    const { find } = given({ place: [0] })

    expect(await find(commandId, 0, anybody)).toMatchObject({ state: 'active', ahead: 0 })
  })

  it.each([
    ['holds something else', { place: [0], payload: { v: 1 } }],
    ['is gone', { place: [0], payload: undefined }],
  ])('is unknown if its job %s', async (_what, world) => {
    expect(await given(world).find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a command that is decided', () => {
  it('is done, whatever the queue says', async () => {
    const { find } = given({ stored: [booked], place: [0] })

    expect(await find(commandId, 0, anybody)).toMatchObject({
      state: 'done',
      ahead: null,
      outcome: booked,
    })
  })

  it('between the look into PostgreSQL and that into Redis is found by a second look', async () => {
    const { find } = given({ stored: [undefined, booked] })

    expect(await find(commandId, 0, anybody)).toMatchObject({ state: 'done' })
  })

  it('as refused was never accepted: nobody finds it', async () => {
    const { find } = given({ stored: [{ outcome: 'refused', decidedAtMs: 5 }], place: [1, 0] })

    expect(await find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a long poll', () => {
  it('ends with the decision', async () => {
    const { find } = given({ stored: [undefined, undefined, undefined, booked], place: [1, 0] })

    const view = await after(300, find(commandId, 10_000, anybody))

    expect(view).toMatchObject({ state: 'done', outcome: booked })
  })

  it('ends after its time with the state as it is then', async () => {
    const { find } = given({ place: [1, 0] })
    const startedAt = Date.now()
    let endedAt = 0
    const found = find(commandId, 730, anybody).finally(() => {
      endedAt = Date.now()
    })

    const view = await after(5000, found)

    expect(view).toMatchObject({ state: 'queued' })
    expect(endedAt - startedAt).toBe(730)
  })

  it('goes on where PostgreSQL is away for a moment', async () => {
    const { find } = given({ stored: [undefined, new Error('away'), booked], place: [1, 0] })

    expect(await after(300, find(commandId, 1000, anybody))).toMatchObject({ state: 'done' })
  })

  it('costs as many look-ups for five thousand clients as for a few', async () => {
    const { find, looks } = given({ place: [1, 0], lookMs: 5 })
    const polls = Array.from({ length: 5000 }, () => find(commandId, 1000, anybody))

    const views = await after(2000, Promise.all(polls))

    expect(new Set(views.map((view) => view?.state))).toEqual(new Set(['queued']))
    expect(looks()).toBeLessThan(20)
  })

  it('shows nobody a state that is older than the question', async () => {
    const { find } = given({ stored: [undefined, booked], place: [1, 0] })
    const first = find(commandId, 0, anybody)

    const second = find(commandId, 0, anybody)

    expect(await first).toMatchObject({ state: 'queued' })
    expect(await second).toMatchObject({ state: 'done' })
  })

  it('ends with what was seen last if the last look fails', async () => {
    const { find } = given({ stored: [undefined, new Error('away')], place: [1, 0] })

    expect(await after(2000, find(commandId, 500, anybody))).toMatchObject({ state: 'queued' })
  })

  it('tells a stranger at once that there is nothing', async () => {
    const { find } = given({ place: [1, 0] })

    // No timer is turned: it would hang if it waited.
    expect(
      await find(commandId, 10_000, ({ caller }) => caller === 'somebody else'),
    ).toBeUndefined()
  })
})

describe('what cannot be looked up', () => {
  it('is told where neither of both answers', async () => {
    const { find } = given({ stored: [new Error('away')] })

    await expect(find(commandId, 0, anybody)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it.each(['', 'nonsense', `event-7.${middle}.3.3`, `other-7.${middle}.3.0`])(
    'is not even asked for: "%s"',
    async (id) => {
      const { find } = given({ stored: [new Error('asked')] })

      expect(await find(id, 1000, anybody)).toBeUndefined()
    },
  )
})
