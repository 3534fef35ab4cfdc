import type { CommandStore } from '@ticket-line/db'
import {
  commandIdOf,
  createLog,
  type JobPayload,
  type Outcome,
  systemClock,
} from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineQueues } from '../queues.js'
import { ERROR_WITHIN_MS, FIND_JOB_UNTIL_MS } from './error-budget.js'
import { createJobStore, type StoreResult } from './store-job.js'

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
  /** Outcomes in PostgreSQL after the job was recorded as abandoned; a function if it fails. */
  stored?: string[] | (() => Promise<never>)
  /** True if the job may be recorded as accepted. */
  mayBeRecorded?: boolean
}

/**
 * Stores the job.
 *
 * @returns what became of it, after how long, and what was recorded as abandoned
 */
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
        (world.stored ?? ['abandoned', 'abandoned']).map((outcome, index) => [
          commandIdOf(jobId, index),
          { outcome, decidedAtMs: 5000 } as Outcome,
        ]),
      )
    },
  }
  const startedAtMs = performance.now()
  const stored = createJobStore({
    queues: { queueOf: () => queue } as unknown as LineQueues,
    wakeUp: () => undefined,
    relistJob: async () => 'missing',
    store: commandStore,
    log: createLog('test', 'silent'),
    clock: systemClock,
  })
    .store(job, startedAtMs + FIND_JOB_UNTIL_MS, () => world.mayBeRecorded === true)
    .then((result) => ({ result, tookMs: performance.now() - startedAtMs, recorded }))
  await vi.advanceTimersByTimeAsync(5000)
  return stored
}

const abandonedIds = [`${job.jobId}.0`, `${job.jobId}.1`]

describe('a job', () => {
  it('is stored if Redis confirms the add', async () => {
    const add = vi.fn(async () => undefined)

    expect(await store({ add })).toEqual({ result: { kind: 'stored' }, tookMs: 0, recorded: [] })
    expect(add).toHaveBeenCalledExactlyOnceWith('commands', payload, {
      jobId: job.jobId,
      attempts: 1,
    })
  })

  it('is recorded as abandoned if its add was never sent and it may be recorded as accepted', async () => {
    const add = fails("Stream isn't writeable and enableOfflineQueue options is false")

    const { result, recorded } = await store({ add, mayBeRecorded: true })

    expect(result).toEqual({ kind: 'abandoned' })
    expect(recorded).toEqual([abandonedIds])
  })

  it('is unknown if Redis refused it, it may be recorded as accepted, and PostgreSQL fails', async () => {
    const add = fails('READONLY You can not write against a read only replica.')
    const stored = fails('no PostgreSQL')

    const { result } = await store({ add, stored, mayBeRecorded: true })

    expect(result).toEqual({ kind: 'unknown' })
  })

  it('is abandoned, with nothing to record, if its add was never sent', async () => {
    const add = fails("Stream isn't writeable and enableOfflineQueue options is false")

    expect(await store({ add })).toEqual({ result: { kind: 'abandoned' }, tookMs: 0, recorded: [] })
  })
})

describe('a job whose add was not confirmed', () => {
  it('is stored if it is found in Redis', async () => {
    const { result, recorded } = await store({
      add: timesOut,
      getJob: async () => ({ id: job.jobId }),
    })

    expect(result).toEqual({ kind: 'stored' })
    expect(recorded).toEqual([])
  })

  it('is looked for again while look-ups fail', async () => {
    const getJob = vi
      .fn<() => Promise<unknown>>()
      .mockImplementationOnce(fails('Connection is closed.'))
      .mockImplementationOnce(fails('Connection is closed.'))
      .mockImplementation(async () => ({ id: job.jobId }))

    const { result } = await store({ add: fails('Connection is closed.'), getJob })

    expect(result).toEqual({ kind: 'stored' })
  })

  it('is recorded as abandoned before clients get an error, if it is not found', async () => {
    const { result, recorded } = await store({ add: timesOut, getJob: async () => undefined })

    expect(recorded).toEqual([abandonedIds])
    expect(result).toEqual({ kind: 'abandoned' })
  })

  it('is recorded as abandoned if Redis stays away', async () => {
    const { result, recorded } = await store({ add: timesOut, getJob: timesOut })

    expect(recorded).toEqual([abandonedIds])
    expect(result).toEqual({ kind: 'abandoned' })
  })

  it('is decided if some of its commands were decided before it was recorded as abandoned', async () => {
    const { result } = await store({
      add: timesOut,
      getJob: timesOut,
      stored: ['booked', 'abandoned'],
    })

    expect(result).toEqual({
      kind: 'decided',
      outcomes: new Map([[`${job.jobId}.0`, { outcome: 'booked', decidedAtMs: 5000 }]]),
    })
  })

  it.each([
    ['fails', fails('Connection terminated')],
    ['hangs', hangs],
  ])('is unknown if PostgreSQL %s too', async (_how, stored) => {
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
  ])('has a known fate within the error budget if %s', async (_what, world) => {
    const { tookMs } = await store(world)

    expect(tookMs).toBeLessThanOrEqual(ERROR_WITHIN_MS - 50)
  })
})

describe('a job that may be in no list', () => {
  const wokenUp: string[] = []
  const jobStore = (result: 'missing' | 'listed' | 'relisted') =>
    createJobStore({
      queues: {} as LineQueues,
      wakeUp: (lineName) => wokenUp.push(lineName),
      relistJob: async () => result,
      store: { recordAbandoned: async () => new Map() },
      log: createLog('test', 'silent'),
      clock: systemClock,
    })
  beforeEach(() => void wokenUp.splice(0))

  it('wakes the workers up when it is put back', async () => {
    expect(await jobStore('relisted').ensureListed('event-1', job.jobId)).toBe(true)
    expect(wokenUp).toEqual(['event-1'])
  })

  it.each([
    ['listed', true],
    ['missing', false],
  ] as const)('wakes nobody up if it is %s', async (result, isInRedis) => {
    expect(await jobStore(result).ensureListed('event-1', job.jobId)).toBe(isInRedis)
    expect(wokenUp).toEqual([])
  })
})
