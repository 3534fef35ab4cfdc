import type { AcceptedPlace, StoredCommand } from '@ticket-line/db'
import {
  type CommandRequest,
  type JobPayload,
  type Outcome,
  publicPartOf,
  type StoredOutcome,
  systemClock,
} from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineQueues } from '../queues.js'
import type { JobLocation } from '../scripts.js'
import { createFindCommand } from './find-command.js'
import type { CommandView } from './types.js'

beforeEach(() => void vi.useFakeTimers({ now: 1_785_000_000_000 }))
afterEach(() => void vi.useRealTimers())

const middle = 'a'.repeat(21)
const jobId = `event-7.${middle}.3`
const commandId = `${jobId}.2`
const acceptedAtMs = 1_784_999_999_000
const commands = ['ann', 'bob', 'eve'].map(
  (userId): CommandRequest => ({
    type: 'book',
    eventId: 7,
    userId,
    caller: userId,
    keyHash: 'hash',
    trace: '00-trace',
  }),
)
const booked: Outcome = { outcome: 'booked', bookingId: '7-1', decidedAtMs: 5 }

type Stored = StoredOutcome | undefined

/**
 * Looks up commands in a line that says `location`, and in a PostgreSQL that gives the stored
 * outcomes in order, the last one again and again.
 */
function given(world: {
  stored?: (Stored | Error)[]
  payload?: unknown
  location?: JobLocation
  request?: CommandRequest
  lookMs?: number
  accepted?: AcceptedPlace
}) {
  const answers = [...(world.stored ?? [])]
  const asked: string[] = []
  const relisted: string[] = []
  let looks = 0
  const payload: JobPayload = { v: 1, replyTo: 'api-1', acceptedAtMs, commands }
  const find = createFindCommand({
    async locateJob(lineName, id) {
      asked.push(lineName, id)
      return world.location ?? { kind: 'unlisted', queuedJobs: 0, pace: undefined }
    },
    queues: {
      queueOf: () => ({
        getJob: async () => ({ data: 'payload' in world ? world.payload : payload }),
      }),
    } as unknown as LineQueues,
    async findStored() {
      looks += 1
      if (world.lookMs !== undefined)
        await new Promise((resolve) => setTimeout(resolve, world.lookMs))
      const outcome = answers.length > 1 ? answers.shift() : answers[0]
      if (outcome instanceof Error) throw outcome
      if (outcome === undefined) return undefined
      const command = {
        ...publicPartOf(world.request ?? (commands[2] as CommandRequest)),
        commandId,
      }
      return { command, acceptedAtMs, outcome } satisfies StoredCommand
    },
    findAccepted: async (id) => (id === jobId ? world.accepted : undefined),
    async ensureListed(_lineName, id) {
      relisted.push(id)
      return true
    },
    clock: systemClock,
  })
  return { find, asked, relisted, looks: () => looks }
}

const anybody = (): boolean => true
const ACTIVE: JobLocation = { kind: 'active' }
const FIRST: JobLocation = { kind: 'queued', jobsAhead: 0, ids: [], pace: undefined }

async function after<T>(ms: number, promise: Promise<T>): Promise<T> {
  await vi.advanceTimersByTimeAsync(ms)
  return promise
}

describe('a settle', () => {
  const settle: CommandRequest = { type: 'settle', eventId: 7, userId: '', caller: '' }

  it('is not found in its line', async () => {
    const payload: JobPayload = { v: 2, acceptedAtMs, commands: [settle, settle, settle] }
    const { find } = given({ location: ACTIVE, payload })

    expect(await find(commandId, 0, anybody)).toBeUndefined()
  })

  it('is not found once it is decided', async () => {
    const { find } = given({ stored: [{ outcome: 'settled', decidedAtMs: 5 }], request: settle })

    expect(await find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a command in the line', () => {
  it('is queued behind the commands of the jobs ahead, and those before it in its own job', async () => {
    const ids = [`event-7.${middle}.10`, `event-7.${middle}.20`]
    const { find, asked } = given({
      location: { kind: 'queued', jobsAhead: 1, ids, pace: undefined },
    })

    const view = await find(commandId, 0, anybody)

    expect(view).toEqual<CommandView>({
      commandId,
      type: 'book',
      eventId: 7,
      userId: 'eve',
      caller: 'eve',
      state: 'queued',
      ahead: 32,
      etaSeconds: null,
      acceptedAtMs,
    })
    expect(asked).toEqual(['event-7', jobId])
  })

  it('is estimated to be behind as many commands as the counted jobs have on average', async () => {
    const counted = Array.from({ length: 500 }, () => `event-7.${middle}.4`)
    const location: JobLocation = {
      kind: 'queued',
      jobsAhead: 1500,
      ids: counted,
      pace: undefined,
    }
    const { find } = given({ location })

    expect(await find(commandId, 0, anybody)).toMatchObject({ ahead: 6002 })
  })

  it('is queued behind all jobs if no list contains its job, which is put back in its line', async () => {
    const { find, relisted } = given({
      location: { kind: 'unlisted', queuedJobs: 7, pace: undefined },
    })

    expect(await find(commandId, 0, anybody)).toMatchObject({ state: 'queued', ahead: 9 })
    expect(relisted).toEqual([jobId])
  })

  it('is queued behind the queued jobs if an operator gave its job a priority', async () => {
    const { find, relisted } = given({
      location: { kind: 'queued', jobsAhead: 3, ids: [], pace: undefined },
    })

    expect(await find(`${jobId}.0`, 0, anybody)).toMatchObject({ state: 'queued', ahead: 3 })
    expect(relisted).toEqual([])
  })

  it('is first if no job is ahead', async () => {
    const { find } = given({ location: FIRST })

    expect(await find(`${jobId}.0`, 0, anybody)).toMatchObject({ state: 'queued', ahead: 0 })
  })

  it('is active with its job, and no command is ahead of it', async () => {
    const { find } = given({ location: ACTIVE })

    expect(await find(commandId, 0, anybody)).toMatchObject({
      state: 'active',
      ahead: 0,
      etaSeconds: 0,
    })
  })

  it('is expected when the jobs ahead and its own are decided at the pace of the line', async () => {
    const ids = Array.from({ length: 100 }, () => `event-7.${middle}.3`)
    const long = { jobs: 100, commands: 300, tookMs: 10_000 }
    const short = { jobs: 10, commands: 30, tookMs: 1000 }
    const pace = { long, short, idleMs: 5 }
    const { find } = given({ location: { kind: 'queued', jobsAhead: 99, ids, pace } })

    expect(await find(commandId, 0, anybody)).toMatchObject({ ahead: 302, etaSeconds: 10 })
  })

  it.each([
    ['contains something else', { location: ACTIVE, payload: { v: 1 } }],
    ['is missing', { location: ACTIVE, payload: undefined }],
  ])('is unknown if its job %s', async (_what, world) => {
    expect(await given(world).find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a command whose job Redis has lost', () => {
  const payload: JobPayload = { v: 3, replyTo: 'api-1', acceptedAtMs, commands }

  it('is queued behind the undecided commands that were accepted before it', async () => {
    const { find } = given({ payload: undefined, accepted: { payload, commandsAhead: 40 } })

    expect(await find(commandId, 0, anybody)).toMatchObject({
      commandId,
      userId: 'eve',
      state: 'queued',
      ahead: 42,
      etaSeconds: null,
      acceptedAtMs,
    })
  })

  it('is unknown if it was not accepted', async () => {
    expect(await given({ payload: undefined }).find(commandId, 0, anybody)).toBeUndefined()
  })

  it('is unknown if the accepted job has no such command', async () => {
    const short = { ...payload, commands: commands.slice(0, 2) }
    const { find } = given({ payload: undefined, accepted: { payload: short, commandsAhead: 0 } })

    expect(await find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a command that is decided', () => {
  it('is done, whatever Redis says', async () => {
    const { find } = given({ stored: [booked], location: ACTIVE })

    expect(await find(commandId, 0, anybody)).toMatchObject({
      state: 'done',
      ahead: null,
      etaSeconds: null,
      outcome: booked,
    })
  })

  it('is found by a second look-up if it was decided between those in PostgreSQL and Redis', async () => {
    const { find } = given({ stored: [undefined, booked] })

    expect(await find(commandId, 0, anybody)).toMatchObject({ state: 'done' })
  })

  it('is not found if it was abandoned', async () => {
    const { find } = given({ stored: [{ outcome: 'abandoned', decidedAtMs: 5 }], location: FIRST })

    expect(await find(commandId, 0, anybody)).toBeUndefined()
  })
})

describe('a long poll', () => {
  it('ends with the decision', async () => {
    const { find } = given({ stored: [undefined, undefined, undefined, booked], location: FIRST })

    const view = await after(300, find(commandId, 10_000, anybody))

    expect(view).toMatchObject({ state: 'done', outcome: booked })
  })

  it('ends after its time with the state at that moment', async () => {
    const { find } = given({ location: FIRST })
    const startedAt = Date.now()
    let endedAt = 0
    const found = find(commandId, 730, anybody).finally(() => {
      endedAt = Date.now()
    })

    const view = await after(5000, found)

    expect(view).toMatchObject({ state: 'queued' })
    // The fake clock takes 1 ms for the setImmediate with which a deadline ends.
    expect(endedAt - startedAt).toBe(731)
  })

  it('goes on if PostgreSQL is away for a moment', async () => {
    const { find } = given({ stored: [undefined, new Error('away'), booked], location: FIRST })

    expect(await after(300, find(commandId, 1000, anybody))).toMatchObject({ state: 'done' })
  })

  it('costs as many look-ups for 5,000 clients as for a few', async () => {
    const { find, looks } = given({ location: FIRST, lookMs: 5 })
    const polls = Array.from({ length: 5000 }, () => find(commandId, 1000, anybody))

    const views = await after(2000, Promise.all(polls))

    expect(new Set(views.map((view) => view?.state))).toEqual(new Set(['queued']))
    expect(looks()).toBeLessThan(20)
  })

  it('shows nobody a state that is older than the request', async () => {
    const { find } = given({ stored: [undefined, booked], location: FIRST })
    const first = find(commandId, 0, anybody)

    const second = find(commandId, 0, anybody)

    expect(await first).toMatchObject({ state: 'queued' })
    expect(await second).toMatchObject({ state: 'done' })
  })

  it('ends with the last known state if the last look-up fails', async () => {
    const { find } = given({ stored: [undefined, new Error('away')], location: FIRST })

    expect(await after(2000, find(commandId, 500, anybody))).toMatchObject({ state: 'queued' })
  })

  it('ends at once, and finds nothing, for a client who may not read the command', async () => {
    const { find } = given({ location: FIRST })

    // The fake clock stands still, so this would hang if it waited.
    expect(
      await find(commandId, 10_000, ({ caller }) => caller === 'somebody else'),
    ).toBeUndefined()
  })
})

describe('a command that cannot be looked up', () => {
  it('is reported as unavailable if PostgreSQL does not answer', async () => {
    const { find } = given({ stored: [new Error('away')] })

    await expect(find(commandId, 0, anybody)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it.each(['', 'nonsense', `event-7.${middle}.3.3`, `other-7.${middle}.3.0`])(
    'is not looked up at all if its id is "%s"',
    async (id) => {
      const { find } = given({ stored: [new Error('asked')] })

      expect(await find(id, 1000, anybody)).toBeUndefined()
    },
  )
})
