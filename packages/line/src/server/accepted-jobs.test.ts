import type { AcceptedJobStore } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createReadiness } from '../recovery/readiness.js'
import { keepAcceptedJobs } from './accepted-jobs.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

function given({ isReady = true, lost = 0 } = {}) {
  const calls: string[] = []
  const steps: Awaited<ReturnType<AcceptedJobStore['removeDecided']>>[] = []
  const pages: Awaited<ReturnType<AcceptedJobStore['readUndecided']>>[] = []
  const rescued: number[] = []
  const readiness = createReadiness()
  if (isReady) readiness.become('one')
  const keeper = keepAcceptedJobs({
    store: {
      async removeDecided(after) {
        calls.push(`remove after ${after}`)
        return steps.shift() ?? { removed: 0, next: undefined }
      },
      async readUndecided(after, _limit, minAgeMs) {
        calls.push(`look after ${after}, ${minAgeMs} ms old`)
        return pages.shift() ?? { jobs: [], next: undefined }
      },
    },
    redis: { addLost: async () => lost },
    readiness,
    onRescued: (jobs) => rescued.push(jobs),
    log: createLog('test', 'silent'),
  })
  onTestFinished(() => keeper.stop())
  return { calls, steps, pages, rescued }
}

const undecided = {
  lineName: 'event-1',
  jobId: 'event-1.x.1',
  acceptedNo: 1,
  payload: { v: 3, acceptedAtMs: 1, commands: [] },
}

describe('the records of accepted jobs', () => {
  it('are removed step by step until a step finds none that is decided', async () => {
    const { calls, steps } = given()
    steps.push(
      { removed: 1000, next: 1000 },
      { removed: 3, next: 2000 },
      { removed: 0, next: 3000 },
    )
    await pass(1000)
    expect(calls.slice(0, 3)).toEqual(['remove after 0', 'remove after 1000', 'remove after 2000'])

    await pass(1000)
    expect(calls.filter((call) => call.startsWith('remove'))[3]).toBe('remove after 3000')
  })

  it('are removed in a limited number of steps at a time', async () => {
    const { calls, steps } = given()
    for (let i = 1; i <= 30; i++) steps.push({ removed: 1, next: i })
    await pass(1000)

    expect(calls.filter((call) => call.startsWith('remove'))).toHaveLength(20)
  })

  it('show single jobs that Redis has lost, a page at a time and from the beginning again', async () => {
    const { calls, pages, rescued } = given({ lost: 1 })
    pages.push({ jobs: [undecided], next: 500 }, { jobs: [], next: undefined })
    await pass(3000)

    expect(calls.filter((call) => call.startsWith('look'))).toEqual([
      'look after 0, 5000 ms old',
      'look after 500, 5000 ms old',
      'look after 0, 5000 ms old',
    ])
    expect(rescued).toEqual([1])
  })

  it('are left to a recovery while Redis may lack accepted jobs', async () => {
    const { calls } = given({ isReady: false })
    await pass(2000)

    expect(calls.filter((call) => call.startsWith('look'))).toEqual([])
    expect(calls).toContain('remove after 0')
  })
})
