import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JobToStore } from '../queues.js'
import { CONFIRM_GENERATION_MS, ERROR_WITHIN_MS, RATE_LIMIT_MS } from './error-budget.js'
import { createRecorder, type RecordResult } from './recorder.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function jobOf(jobId: string, commandCount = 1): JobToStore {
  const command = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' } as const
  const commands = Array.from({ length: commandCount }, () => command)
  return { lineName: 'event-1', jobId, payload: { v: 3, acceptedAtMs: 1, commands } }
}

/** A recorder with a PostgreSQL whose replies the test decides. */
function given(confirmGeneration: () => Promise<string | undefined> = async () => 'run:1') {
  const statements: { jobIds: string[]; succeed: () => void; fail: () => void }[] = []
  const record = createRecorder({
    store: {
      record: (jobs) =>
        new Promise((resolve, reject) =>
          statements.push({
            jobIds: jobs.map(({ jobId }) => jobId),
            succeed: resolve,
            fail: () => reject(new Error('no PostgreSQL')),
          }),
        ),
    },
    confirmGeneration,
    log: createLog('test', 'silent'),
  })
  return { record, statements }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

const recorded = { isRecorded: true, generation: 'run:1' }
const notRecorded = { isRecorded: false, generation: undefined }

describe('a recorder', () => {
  it('records the jobs of one moment in one statement, in their order', async () => {
    const { record, statements } = given()
    const all = Promise.all([record(jobOf('a')), record(jobOf('b')), record(jobOf('c'))])
    await pass(0)
    expect(statements.map(({ jobIds }) => jobIds)).toEqual([['a', 'b', 'c']])

    statements[0]?.succeed()
    expect(await all).toEqual([recorded, recorded, recorded])
  })

  it('gathers jobs while a statement runs, so that later jobs get later numbers', async () => {
    const { record, statements } = given()
    const first = record(jobOf('a'))
    await pass(0)
    const others = [record(jobOf('b')), record(jobOf('c'))]
    await pass(50)
    expect(statements).toHaveLength(1)

    statements[0]?.succeed()
    expect(await first).toEqual(recorded)
    await pass(0)
    expect(statements[1]?.jobIds).toEqual(['b', 'c'])
    statements[1]?.succeed()
    expect(await Promise.all(others)).toEqual([recorded, recorded])
  })

  it('limits the commands of a statement', async () => {
    const { record, statements } = given()
    for (let i = 0; i < 20; i++) void record(jobOf(String(i), 256))
    await pass(0)

    expect(statements[0]?.jobIds).toHaveLength(16)
  })

  it('says that no job of a statement that fails is recorded', async () => {
    const { record, statements } = given()
    const all = Promise.all([record(jobOf('a')), record(jobOf('b'))])
    await pass(0)
    statements[0]?.fail()

    expect(await all).toEqual([notRecorded, notRecorded])
  })

  it('says so within the time for an error if PostgreSQL does not answer', async () => {
    const { record } = given()
    let found: RecordResult | undefined
    void record(jobOf('a')).then((result) => {
      found = result
    })
    await pass(ERROR_WITHIN_MS - RATE_LIMIT_MS)

    expect(found).toEqual(notRecorded)
  })

  it('reads the generation of Redis once for a statement, after its commit', async () => {
    const confirmGeneration = vi.fn(async () => 'run:2')
    const { record, statements } = given(confirmGeneration)
    const both = Promise.all([record(jobOf('a')), record(jobOf('b'))])
    await pass(0)
    expect(confirmGeneration).not.toHaveBeenCalled()

    statements[0]?.succeed()
    const result = { isRecorded: true, generation: 'run:2' }
    expect(await both).toEqual([result, result])
    expect(confirmGeneration).toHaveBeenCalledTimes(1)
  })

  it('waits only a moment for a Redis that does not answer', async () => {
    const { record, statements } = given(() => new Promise(() => {}))
    const one = record(jobOf('a'))
    await pass(0)
    statements[0]?.succeed()
    await pass(CONFIRM_GENERATION_MS + 1)

    expect(await one).toEqual({ isRecorded: true, generation: undefined })
  })

  it('has recorded a job even if Redis does not tell its generation', async () => {
    const { record, statements } = given(() => Promise.reject(new Error('no Redis')))
    const one = record(jobOf('a'))
    await pass(0)
    statements[0]?.succeed()

    expect(await one).toEqual({ isRecorded: true, generation: undefined })
  })
})
