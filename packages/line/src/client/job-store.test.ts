import type { CommandStore } from '@ticket-line/db'
import { commandIdOf, createLog, type JobPayload, type Outcome } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineQueues } from '../queues.js'
import { createJobStore, LOOK_FOR_MS, type StoreResult } from './job-store.js'

beforeEach(() => void vi.useFakeTimers({ now: 1_785_000_000_000 }))
afterEach(() => void vi.useRealTimers())

/** What `REDIS_TIMEOUT_MS` is by default. */
const REDIS_TIMEOUT_MS = 400

const command = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' } as const
const payload: JobPayload = {
  v: 1,
  replyTo: 'api-1',
  acceptedAtMs: Date.now(),
  commands: [command, command],
}
const job = { lineName: 'event-1', jobId: 'event-1.x.2', payload }

const timesOut = (): Promise<never> =>
  new Promise((_, reject) =>
    setTimeout(() => reject(new Error('Command timed out')), REDIS_TIMEOUT_MS),
  )
const hangs = (): Promise<never> => new Promise(() => undefined)
const fails = (message: string) => (): Promise<never> => Promise.reject(new Error(message))

interface World {
  add: () => Promise<unknown>
  getJob?: () => Promise<unknown>
  /** Outcomes that stand in PostgreSQL after the refusal was recorded; a function where it does not answer so. */
  stored?: string[] | (() => Promise<never>)
}

/** Stores the job in such a world. @returns what became of it, after how long, and what was recorded */
async function store(
  world: World,
): Promise<{ result: StoreResult; tookMs: number; recorded: unknown[] }> {
  const recorded: unknown[] = []
  const queue = { add: world.add, getJob: world.getJob ?? fails('no look-up expected') }
  const commandStore: Pick<CommandStore, 'recordAbandoned'> = {
    async recordAbandoned({ jobId, commands }) {
      if (typeof world.stored === 'function') return world.stored()
      recorded.push(commands.map((_, index) => commandIdOf(jobId, index)))
      return new Map(
        (world.stored ?? ['refused', 'refused']).map((outcome, index) => [
          commandIdOf(jobId, index),
          { outcome, decidedAtMs: 5000 } as Outcome,
        ]),
      )
    },
  }
  const startedAt = Date.now()
  const stored = createJobStore({
    queues: { queueOf: () => queue } as unknown as LineQueues,
    note: () => undefined,
    store: commandStore,
    log: createLog('test', 'silent'),
    monotonicMs: () => Date.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  })
    .store(job, startedAt + LOOK_FOR_MS)
    .then((result) => ({ result, tookMs: Date.now() - startedAt, recorded }))
  await vi.advanceTimersByTimeAsync(5000)
  return stored
}

const refusedIds = [`${job.jobId}.0`, `${job.jobId}.1`]

describe('an add', () => {
  it('that is answered is stored', async () => {
    const add = vi.fn(async () => undefined)

    expect(await store({ add })).toEqual({ result: { kind: 'stored' }, tookMs: 0, recorded: [] })
    expect(add).toHaveBeenCalledExactlyOnceWith('commands', payload, {
      jobId: job.jobId,
      attempts: 1,
    })
  })

  it('that was never sent is refused, with nothing to record', async () => {
    const add = fails("Stream isn't writeable and enableOfflineQueue options is false")

    expect(await store({ add })).toEqual({ result: { kind: 'refused' }, tookMs: 0, recorded: [] })
  })
})

describe('an add whose answer was lost', () => {
  it('is stored where the job is found', async () => {
    const { result, recorded } = await store({
      add: timesOut,
      getJob: async () => ({ id: job.jobId }),
    })

    expect(result).toEqual({ kind: 'stored' })
    expect(recorded).toEqual([])
  })

  it('is looked for again while Redis does not answer', async () => {
    const getJob = vi
      .fn<() => Promise<unknown>>()
      .mockImplementationOnce(fails('Connection is closed.'))
      .mockImplementationOnce(fails('Connection is closed.'))
      .mockImplementation(async () => ({ id: job.jobId }))

    const { result } = await store({ add: fails('Connection is closed.'), getJob })

    expect(result).toEqual({ kind: 'stored' })
  })

  it('is recorded as refused before anybody hears so, where it is not found', async () => {
    const { result, recorded } = await store({ add: timesOut, getJob: async () => undefined })

    expect(recorded).toEqual([refusedIds])
    expect(result).toEqual({ kind: 'refused' })
  })

  it('is recorded as refused where Redis stays away', async () => {
    const { result, recorded } = await store({ add: timesOut, getJob: timesOut })

    expect(recorded).toEqual([refusedIds])
    expect(result).toEqual({ kind: 'refused' })
  })

  it('is settled where some of it was decided first', async () => {
    const { result } = await store({
      add: timesOut,
      getJob: timesOut,
      stored: ['booked', 'refused'],
    })

    expect(result).toEqual({
      kind: 'settled',
      outcomes: new Map([[`${job.jobId}.0`, { outcome: 'booked', decidedAtMs: 5000 }]]),
    })
  })

  it.each([
    ['fails', fails('Connection terminated')],
    ['hangs', hangs],
  ])('is unknown where PostgreSQL %s as well', async (_how, stored) => {
    const { result } = await store({ add: timesOut, getJob: timesOut, stored })

    expect(result).toEqual({ kind: 'unknown' })
  })

  it.each<[string, World]>([
    ['both servers hang', { add: timesOut, getJob: timesOut, stored: hangs }],
    ['Redis hangs', { add: timesOut, getJob: timesOut }],
    [
      'Redis is gone',
      { add: fails('Connection is closed.'), getJob: fails('Connection is closed.') },
    ],
  ])('is known within the second that a client is promised, where %s', async (_what, world) => {
    const { tookMs } = await store(world)

    expect(tookMs).toBeLessThanOrEqual(950)
  })
})
