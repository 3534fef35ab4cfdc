import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JobToStore } from '../queues.js'
import { ERROR_WITHIN_MS, RATE_LIMIT_MS } from './error-budget.js'
import { createRecorder } from './recorder.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function jobOf(jobId: string, commandCount = 1): JobToStore {
  const command = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' } as const
  const commands = Array.from({ length: commandCount }, () => command)
  return { lineName: 'event-1', jobId, payload: { v: 3, acceptedAtMs: 1, commands } }
}

/** A recorder with a PostgreSQL whose replies the test decides. */
function given() {
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
    log: createLog('test', 'silent'),
  })
  return { record, statements }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

describe('a recorder', () => {
  it('records the jobs of one moment in one statement, in their order', async () => {
    const { record, statements } = given()
    const all = Promise.all([record(jobOf('a')), record(jobOf('b')), record(jobOf('c'))])
    await pass(0)
    expect(statements.map(({ jobIds }) => jobIds)).toEqual([['a', 'b', 'c']])

    statements[0]?.succeed()
    expect(await all).toEqual([true, true, true])
  })

  it('gathers jobs while a statement runs, so that later jobs get later numbers', async () => {
    const { record, statements } = given()
    const first = record(jobOf('a'))
    await pass(0)
    const others = [record(jobOf('b')), record(jobOf('c'))]
    await pass(50)
    expect(statements).toHaveLength(1)

    statements[0]?.succeed()
    expect(await first).toBe(true)
    await pass(0)
    expect(statements[1]?.jobIds).toEqual(['b', 'c'])
    statements[1]?.succeed()
    expect(await Promise.all(others)).toEqual([true, true])
  })

  it('limits the commands of a statement', async () => {
    const { record, statements } = given()
    for (let i = 0; i < 20; i++) void record(jobOf(String(i), 256))
    await pass(0)

    expect(statements[0]?.jobIds).toHaveLength(16)
  })

  it('returns false for all jobs of a statement that fails', async () => {
    const { record, statements } = given()
    const all = Promise.all([record(jobOf('a')), record(jobOf('b'))])
    await pass(0)
    statements[0]?.fail()

    expect(await all).toEqual([false, false])
  })

  it('returns false within the time for an error if PostgreSQL does not answer', async () => {
    const { record } = given()
    let isRecorded: boolean | undefined
    void record(jobOf('a')).then((result) => {
      isRecorded = result
    })
    await pass(ERROR_WITHIN_MS - RATE_LIMIT_MS)

    expect(isRecorded).toBe(false)
  })
})
