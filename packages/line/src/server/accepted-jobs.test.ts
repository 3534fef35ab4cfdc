import type { AcceptedJobStore } from '@ticket-line/db'
import { createLog, type JobPayload } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createReadiness } from '../recovery/readiness.js'
import { keepAcceptedJobs } from './accepted-jobs.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

function given({ isReady = true, missing = 0, relisted = 0 } = {}) {
  const calls: string[] = []
  const steps: Awaited<ReturnType<AcceptedJobStore['removeDecided']>>[] = []
  const pages: Awaited<ReturnType<AcceptedJobStore['readUndecided']>>[] = []
  const rescued: number[] = []
  const readiness = createReadiness()
  if (isReady) readiness.becomeReady('one')
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
    redis: {
      find: async (jobs) => ({
        missing: jobs.slice(0, missing),
        relisted: jobs.slice(missing, missing + relisted),
      }),
      async add(jobs) {
        for (const { jobId } of jobs) calls.push(`add ${jobId}`)
      },
      async wake(lineNames) {
        calls.push(`wake ${[...lineNames]}`)
      },
    },
    readiness,
    onRescued: (jobs) => rescued.push(jobs),
    log: createLog('test', 'silent'),
  })
  onTestFinished(() => keeper.stop())
  return { calls, steps, pages, rescued }
}

const undecided = (lineName: string, acceptedNo: number) => ({
  lineName,
  jobId: `${lineName}.${acceptedNo}.1`,
  acceptedNo,
  payload: {
    v: 3,
    acceptedAtMs: 1,
    commands: [{ type: 'book' as const, eventId: 1, userId: 'ann', caller: 'ann' }],
  },
})
const restores = (calls: string[]): string[] => calls.filter((call) => /^(add|wake)/.test(call))

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
    const { calls, pages } = given()
    pages.push({ jobs: [undecided('a', 1)], next: 500 }, { jobs: [], next: undefined })
    await pass(3000)

    expect(calls.filter((call) => call.startsWith('look'))).toEqual([
      'look after 0, 5000 ms old',
      'look after 500, 5000 ms old',
      'look after 0, 5000 ms old',
    ])
  })

  it('make a worker add a lost job again and wake its line at once', async () => {
    const { calls, pages, rescued } = given({ missing: 2, relisted: 1 })
    const jobs = [undecided('a', 1), undecided('a', 2), undecided('b', 3)]
    pages.push({ jobs, next: undefined }, { jobs, next: undefined })
    await pass(1000)

    expect(restores(calls)).toEqual(['add a.1.1', 'add a.2.1', 'wake a,b'])
    expect(rescued).toEqual([2])
  })

  it('are read again, so that a job that was decided meanwhile is not added', async () => {
    const { calls, pages, rescued } = given({ missing: 2 })
    const [decided, lost] = [undecided('a', 1), undecided('b', 2)]
    pages.push({ jobs: [decided, lost], next: 500 }, { jobs: [lost], next: 500 })
    await pass(1000)

    expect(restores(calls)).toEqual(['add b.2.1', 'wake b'])
    expect(rescued).toEqual([1])
    expect(calls.filter((call) => call.startsWith('look'))).toEqual([
      'look after 0, 5000 ms old',
      'look after 0, 5000 ms old',
    ])
  })

  it('do not count a job as rescued that was decided meanwhile', async () => {
    const { calls, pages, rescued } = given({ missing: 1 })
    pages.push({ jobs: [undecided('a', 1)], next: undefined }, { jobs: [], next: undefined })
    await pass(1000)

    expect(restores(calls)).toEqual([])
    expect(rescued).toEqual([])
  })

  it('are skipped if they are malformed, so that the other lost jobs are added', async () => {
    const { calls, pages, rescued } = given({ missing: 2 })
    const malformed = { ...undecided('a', 1), payload: { v: 3 } as JobPayload }
    const jobs = [malformed, undecided('a', 2)]
    pages.push({ jobs, next: undefined }, { jobs, next: undefined })
    await pass(1000)

    expect(restores(calls)).toEqual(['add a.2.1', 'wake a'])
    expect(rescued).toEqual([1])
  })

  it('are left to a recovery while Redis may lack accepted jobs', async () => {
    const { calls } = given({ isReady: false })
    await pass(2000)

    expect(calls.filter((call) => call.startsWith('look'))).toEqual([])
    expect(calls).toContain('remove after 0')
  })
})
