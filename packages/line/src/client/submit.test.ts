import type { StoredCommand } from '@ticket-line/db'
import {
  type AbandonedOutcome,
  type CommandRequest,
  commandIdOf,
  createLog,
  type JobReply,
  newJobId,
  type Outcome,
  type StoredOutcome,
  systemClock,
} from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JobToStore } from '../queues.js'
import { FIND_JOB_UNTIL_MS } from './error-budget.js'
import type { RecordResult } from './recorder.js'
import type { JobStore, StoreResult } from './store-job.js'
import { createSubmitter, type SubmitterDeps } from './submit.js'
import type { SubmitResult } from './types.js'

beforeEach(() => void vi.useFakeTimers({ now: 1_785_000_000_000 }))
afterEach(() => void vi.useRealTimers())

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const booked: Outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: 1 }
const abandoned: AbandonedOutcome = { outcome: 'abandoned', decidedAtMs: 1 }

const GENERATION = 'run:1'
const RECORDED: RecordResult = { isRecorded: true, generation: GENERATION }
const NOT_RECORDED: RecordResult = { isRecorded: false, generation: undefined }
/** The record is committed, but Redis was flushed in the meantime. */
const AFTER_LOSS: RecordResult = { isRecorded: true, generation: 'run:2' }

type Counts = Map<number, number>

/** A submitter with a Redis and a PostgreSQL whose replies the test decides. */
function given({
  isAdded = () => true,
  ensureListed,
  ...deps
}: Partial<SubmitterDeps> & {
  isAdded?: () => boolean
  ensureListed?: SubmitterDeps['jobStore']['ensureListed']
} = {}) {
  const jobs: JobToStore[] = []
  const ends: ((result: StoreResult) => void)[] = []
  const stored = new Map<string, StoredOutcome>()
  const inRedis = new Set<string>()
  const takenBack: Counts[] = []
  const added: JobToStore[] = []
  const submitter = createSubmitter({
    layout: { sharedLines: 0, shards: 1, keyPrefix: 'test' },
    replyTo: 'api-1',
    admission: {
      admit: (_lineName, counts) => counts,
      takeBack: (_lineName, counts) => takenBack.push(new Map(counts)),
      waitMs: () => undefined,
    },
    jobStore: {
      store: (job) => {
        jobs.push(job)
        return new Promise((resolve) => ends.push(resolve))
      },
      async addAgain(job) {
        added.push(job)
        return isAdded()
      },
      ensureListed: ensureListed ?? (async (_lineName, jobId) => inRedis.has(jobId)),
    },
    recordAccepted: async () => RECORDED,
    readiness: { generation: () => GENERATION },
    findStored: async (commandId) => {
      const outcome = stored.get(commandId)
      return outcome === undefined ? undefined : ({ outcome } as StoredCommand)
    },
    holdMs: 100,
    log: createLog('test', 'silent'),
    newJobId,
    clock: systemClock,
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    soon: setImmediate,
    ...deps,
  })
  /** Submits a command. @returns what its client got, and after how long; empty while it waits */
  function submit(
    userId: string,
    waitMs = 10_000,
    { eventId = 1, ...more }: Partial<CommandRequest> = {},
  ): { result?: SubmitResult; afterMs?: number } {
    const got: { result?: SubmitResult; afterMs?: number } = {}
    const request = { type: 'book', eventId, userId, caller: userId, ...more } as CommandRequest
    const startedAt = Date.now()
    void submitter.submit(request, { waitMs }).then((result) => {
      got.result = result
      got.afterMs = Date.now() - startedAt
    })
    return got
  }
  const job = (index: number): JobToStore => jobs[index] as JobToStore
  const end = (index: number, result: StoreResult = { kind: 'stored' }): void =>
    ends[index]?.(result)
  const reply = (index: number, outcomes: JobReply['outcomes']): void =>
    submitter.onReply({ jobId: job(index).jobId, outcomes })
  const idOf = (index: number, command: number): string => commandIdOf(job(index).jobId, command)
  return { submitter, submit, jobs, job, end, reply, idOf, stored, inRedis, takenBack, added }
}

describe('a client that waits for the decision', () => {
  it('gets the decision of a command when its reply comes, and nothing before', async () => {
    const { submitter, submit, job, end, reply, idOf } = given()
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(50)
    expect(ann.result).toBeUndefined()
    expect(job(0)).toMatchObject({ lineName: 'event-1', payload: { v: 3, replyTo: 'api-1' } })

    reply(0, [booked])
    await pass(0)

    expect(ann.result).toEqual({ kind: 'decided', commandId: idOf(0, 0), outcome: booked })
    expect(submitter.counts()).toEqual({ commands: 0, held: 0, jobs: 0 })
  })

  it('gets the decision even if the reply comes before the add is confirmed', async () => {
    const { submitter, submit, end, reply } = given()
    const ann = submit('ann')
    await pass(0)

    reply(0, [booked])
    end(0)
    await pass(0)

    expect(ann.result?.kind).toBe('decided')
    expect(submitter.counts().jobs).toBe(0)
  })

  it('gets its own outcome of a job with several commands', async () => {
    const { submit, job, end, reply } = given()
    const [ann, bob] = [submit('ann'), submit('bob')]
    await pass(0)
    end(0)
    expect(job(0).payload.commands.map(({ userId }) => userId)).toEqual(['ann', 'bob'])

    reply(0, [booked, { outcome: 'waiting', position: 1, decidedAtMs: 1 }])
    await pass(0)

    expect(ann.result).toMatchObject({ outcome: { outcome: 'booked' } })
    expect(bob.result).toMatchObject({ outcome: { outcome: 'waiting' } })
  })

  it('gets "accepted" at its deadline, and no later result', async () => {
    const { submit, end, reply, idOf } = given()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)

    await pass(500)
    const result = { kind: 'accepted', commandId: idOf(0, 0), etaSeconds: null }
    expect(ann).toEqual({ result, afterMs: 500 })

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('accepted')
  })

  it('gets the stored outcome at its deadline if the reply was lost', async () => {
    const { submit, end, idOf, stored } = given()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    await pass(100)
    stored.set(idOf(0, 0), booked)

    await pass(400)

    expect(ann).toMatchObject({ result: { kind: 'decided', outcome: booked }, afterMs: 500 })
  })

  it('gets "accepted" soon after its deadline if PostgreSQL does not answer', async () => {
    const { submit, end } = given({ findStored: () => new Promise(() => undefined) })
    const ann = submit('ann', 500)
    await pass(0)
    end(0)

    await pass(750)

    expect(ann.result?.kind).toBe('accepted')
    expect(ann.afterMs).toBeLessThanOrEqual(750)
  })

  it('gets "accepted" only after the job is stored, even if its deadline comes before', async () => {
    const { submit, end } = given()
    const ann = submit('ann', 50)
    await pass(0)

    await pass(200)
    expect(ann.result).toBeUndefined()
    end(0)
    await pass(0)
    expect(ann.result?.kind).toBe('accepted')
  })

  it('has all held commands of its line stored, in order, if its deadline comes while it is held', async () => {
    const { submit, jobs, job, end } = given({ holdMs: 5000 })
    submit('a')
    await pass(0)
    submit('c')
    const dan = submit('d', 30)
    submit('e')

    await pass(30)

    expect(jobs).toHaveLength(2)
    expect(job(1).payload.commands.map(({ userId }) => userId)).toEqual(['c', 'd', 'e'])
    end(1)
    await pass(0)
    expect(dan.result?.kind).toBe('accepted')
  })
})

describe('the wait that a 202 response estimates', () => {
  const admission: SubmitterDeps['admission'] = {
    admit: (_lineName, counts) => new Map(counts),
    takeBack: () => undefined,
    waitMs: () => 14_800,
  }

  it('is the wait of its line when the command is stored', async () => {
    const { submit, end } = given({ admission })
    const ann = submit('ann', 0)
    await pass(0)
    end(0)
    await pass(0)

    expect(ann.result).toMatchObject({ kind: 'accepted', etaSeconds: 15 })
  })

  it('is what is left of that wait when its own wait is over', async () => {
    const { submit, end } = given({ admission })
    const [ann, bob] = [submit('ann', 10_000), submit('bob', 20_000)]
    await pass(0)
    end(0)
    await pass(20_000)

    expect(ann.result).toMatchObject({ kind: 'accepted', etaSeconds: 5 })
    expect(bob.result).toMatchObject({ kind: 'accepted', etaSeconds: 0 })
  })
})

describe('a client that does not wait for the decision', () => {
  it('gets "accepted" as soon as its command is stored', async () => {
    const { submit, end, idOf } = given()
    const ann = submit('ann', 0)
    await pass(0)
    expect(ann.result).toBeUndefined()

    end(0)
    await pass(0)

    expect(ann.result).toEqual({ kind: 'accepted', commandId: idOf(0, 0), etaSeconds: null })
  })

  it('gets "accepted", not the decision, if the reply comes before the record', async () => {
    const { submit, end, reply, idOf } = given({ recordAccepted: () => new Promise(() => {}) })
    const ann = submit('ann', 0)
    await pass(0)
    end(0)
    await pass(0)
    expect(ann.result).toBeUndefined()

    reply(0, [booked])
    await pass(0)

    expect(ann.result).toEqual({ kind: 'accepted', commandId: idOf(0, 0), etaSeconds: 0 })
  })

  it('has the commands ahead of it stored too, whose clients go on waiting', async () => {
    const { submit, jobs, end, reply } = given()
    submit('a')
    await pass(0)
    const held = submit('c')
    await pass(0)
    expect(jobs).toHaveLength(1)

    const dan = submit('d', 0)
    await pass(0)
    end(1)
    await pass(0)
    expect(dan.result?.kind).toBe('accepted')
    expect(held.result).toBeUndefined()

    reply(1, [booked, booked])
    await pass(0)
    expect(held.result?.kind).toBe('decided')
  })
})

describe('a job whose add failed', () => {
  it('is looked for until the budget of its first client ends, counted from the start of that request', async () => {
    const until: number[] = []
    const { submitter } = given({
      jobStore: {
        store: (_job, findUntilMs) => {
          until.push(findUntilMs)
          return new Promise(() => undefined)
        },
      } as Partial<JobStore> as JobStore,
    })
    const request: CommandRequest = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' }

    void submitter.submit(request, { waitMs: 1000, spentMs: 250 })
    void submitter.submit({ ...request, userId: 'bob', caller: 'bob' }, { waitMs: 1000 })
    await pass(0)

    expect(until).toEqual([performance.now() - 250 + FIND_JOB_UNTIL_MS])
  })

  it('gives its clients "unavailable" with their ids if it is abandoned, and takes its count back', async () => {
    const { submitter, submit, end, idOf, takenBack } = given()
    const [ann, bob] = [submit('ann'), submit('bob', 0)]
    await pass(0)

    end(0, { kind: 'abandoned' })
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unavailable', commandId: idOf(0, 0) })
    expect(bob.result).toEqual({ kind: 'unavailable', commandId: idOf(0, 1) })
    expect(takenBack).toEqual([new Map([[1, 2]])])
    expect(submitter.counts().jobs).toBe(0)
  })

  it('gives its clients "unknown" if neither server answers', async () => {
    const { submit, end, idOf } = given()
    const ann = submit('ann')
    await pass(0)

    end(0, { kind: 'unknown' })
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unknown', commandId: idOf(0, 0) })
  })

  it('gives its clients the outcomes of decided commands, and the others "unavailable"', async () => {
    const { submit, end, idOf } = given()
    const [ann, bob] = [submit('ann'), submit('bob', 0)]
    await pass(0)

    end(0, { kind: 'decided', outcomes: new Map([[idOf(0, 0), booked]]) })
    await pass(0)

    expect(ann.result).toMatchObject({ kind: 'decided', outcome: booked })
    expect(bob.result).toMatchObject({ kind: 'unavailable' })
  })
})

describe('a reply with an abandoned command', () => {
  it('is answered "unavailable"', async () => {
    const { submit, end, reply } = given()
    const ann = submit('ann')
    await pass(0)
    end(0)

    reply(0, [abandoned])
    await pass(0)

    expect(ann.result?.kind).toBe('unavailable')
  })

  it('is ignored if nobody waits for its job', () => {
    const { submitter } = given()

    expect(() => submitter.onReply({ jobId: 'event-1.x.1', outcomes: [booked] })).not.toThrow()
  })
})

describe('a command whose reply is overdue', () => {
  async function overdue(deps: Parameters<typeof given>[0] = {}) {
    const all = given(deps)
    const ann = all.submit('ann')
    await pass(0)
    all.end(0)
    await pass(0)
    return { ...all, ann }
  }

  it('gets its outcome from PostgreSQL by the rescue after one second', async () => {
    const { submitter, ann, stored, idOf } = await overdue()
    stored.set(idOf(0, 0), booked)
    await pass(999)
    submitter.rescue()
    await pass(0)
    expect(ann.result).toBeUndefined()

    await pass(1)
    submitter.rescue()
    await pass(0)

    expect(ann.result).toMatchObject({ kind: 'decided', outcome: booked })
  })

  it('stays pending while Redis has its job', async () => {
    const { submitter, ann, inRedis, jobs, job } = await overdue()
    inRedis.add(job(0).jobId)

    for (let i = 0; i < 8; i++) {
      await pass(250)
      submitter.rescue()
    }
    await pass(0)

    expect(jobs).toHaveLength(1)
    expect(ann.result).toBeUndefined()
  })

  it('is added again under its id by the rescue if Redis lost its job', async () => {
    const { submitter, ann, added, job, reply } = await overdue()
    await pass(1000)
    submitter.rescue()
    await pass(0)

    expect(added).toEqual([job(0)])
    expect(added[0]).toBe(job(0))

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
  })

  it('is added again and again while adds of its lost job fail, as on a busy machine', async () => {
    let busy = true
    const { submitter, ann, added, reply } = await overdue({ isAdded: () => !busy })
    await pass(1000)
    for (let i = 0; i < 30; i++) {
      submitter.rescue()
      await pass(250)
    }
    expect(added.length).toBeGreaterThan(10)
    expect(ann.result).toBeUndefined()

    busy = false
    submitter.rescue()
    await pass(0)
    const attempts = added.length
    submitter.rescue()
    await pass(0)
    expect(added).toHaveLength(attempts)

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
  })

  it('is answered "accepted" at the deadline if its lost job is recorded', async () => {
    const { submitter, ann, idOf } = await overdue({ isAdded: () => false })
    for (let i = 0; i < 41; i++) {
      await pass(250)
      submitter.rescue()
    }

    const result = { kind: 'accepted', commandId: idOf(0, 0), etaSeconds: null }
    expect(ann).toEqual({ result, afterMs: 10_000 })
    expect(submitter.counts()).toEqual({ commands: 0, held: 0, jobs: 0 })
  })

  it('is answered "unknown" after the deadline if its lost job cannot be recorded', async () => {
    const { submitter, ann, idOf } = await overdue({
      isAdded: () => false,
      recordAccepted: async () => {
        await pause(300)
        return NOT_RECORDED
      },
    })
    for (let i = 0; i < 43; i++) {
      await pass(250)
      submitter.rescue()
    }

    expect(ann).toEqual({ result: { kind: 'unknown', commandId: idOf(0, 0) }, afterMs: 10_300 })
    expect(submitter.counts()).toEqual({ commands: 0, held: 0, jobs: 0 })
  })

  it('waits only a moment for a lookup before its job is recorded', async () => {
    const deadline = Date.now() + 10_000
    const { ann } = await overdue({
      findStored: () =>
        Date.now() === deadline ? new Promise(() => undefined) : Promise.resolve(undefined),
    })
    await pass(10_050)
    expect(ann.result).toBeUndefined()

    await pass(60)

    expect(ann.result?.kind).toBe('accepted')
  })

  it('does not change the "accepted" of other commands if its job is lost', async () => {
    const { submitter, submit, end, reply } = given({ isAdded: () => false })
    const [ann, bob] = [submit('ann', 1200), submit('bob', 500)]
    await pass(0)
    end(0)
    await pass(1000)
    expect(bob.result?.kind).toBe('accepted')
    submitter.rescue()
    await pass(100)
    expect(ann.result).toBeUndefined()

    // A worker that had fetched the job may still complete it.
    reply(0, [booked, booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
    expect(bob.result?.kind).toBe('accepted')
  })

  it('is rescued at once when Redis has all accepted jobs again', async () => {
    const { submitter, added, job, inRedis } = await overdue()
    await pass(50)
    submitter.rescue()
    await pass(0)
    expect(added).toEqual([])

    submitter.onRecovered()
    submitter.rescue()
    await pass(0)
    expect(added).toEqual([job(0)])

    inRedis.add(job(0).jobId)
    submitter.rescue()
    await pass(0)
    expect(added).toHaveLength(1)
  })

  it('is not rescued while the first add of its job is in progress', async () => {
    const { submitter, submit, jobs } = given()
    submit('ann')
    await pass(3000)

    submitter.rescue()
    await pass(0)

    expect(jobs).toHaveLength(1)
  })

  it('is rescued again if the look-up failed', async () => {
    const findStored = vi.fn(() => Promise.reject(new Error('away')))
    const { submitter, ann } = await overdue({ findStored })
    await pass(1000)
    submitter.rescue()
    await pass(1000)
    submitter.rescue()
    await pass(0)

    expect(findStored).toHaveBeenCalledTimes(2)
    expect(ann.result).toBeUndefined()
  })
})

describe('an event at its depth limit', () => {
  it('answers "busy" to the surplus, and stores nothing of it', async () => {
    const admit = async (): Promise<Counts> => new Map([[1, 1]])
    const { submitter, submit, job, takenBack } = given({
      admission: { admit, takeBack: () => undefined, waitMs: () => undefined },
    })
    const [ann, bob] = [submit('ann'), submit('bob')]
    await pass(0)

    expect(job(0).payload.commands.map(({ userId }) => userId)).toEqual(['ann'])
    expect(bob.result).toEqual({ kind: 'busy', limit: 'line_depth' })
    expect(ann.result).toBeUndefined()
    expect(takenBack).toEqual([])
    expect(submitter.counts()).toEqual({ commands: 1, held: 0, jobs: 1 })
  })

  it('lets the next job go if no command of this one is admitted', async () => {
    const admit = async (): Promise<Counts> => new Map([[1, 0]])
    const { submit } = given({
      admission: { admit, takeBack: () => undefined, waitMs: () => undefined },
    })
    for (let i = 0; i < 5; i++) {
      const ann = submit('ann')
      await pass(0)
      expect(ann).toEqual({ result: { kind: 'busy', limit: 'line_depth' }, afterMs: 0 })
    }
  })

  it('answers "unavailable" if commands cannot be counted', async () => {
    const admit = (): Promise<Counts> => Promise.reject(new Error('away'))
    const { submit, jobs } = given({
      admission: { admit, takeBack: () => undefined, waitMs: () => undefined },
    })
    const ann = submit('ann')
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unavailable' })
    expect(jobs).toEqual([])
  })
})

describe('a record of acceptance', () => {
  /** A submitter whose records the test ends. */
  function recorded() {
    const records: { job: JobToStore; end: (result: RecordResult) => void }[] = []
    const kit = given({
      recordAccepted: (job) => new Promise((resolve) => records.push({ job, end: resolve })),
    })
    return { ...kit, records }
  }

  it('is not made for a job whose clients all get the decision', async () => {
    const { submit, end, reply, records } = recorded()
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(3000)
    reply(0, [booked])
    await pass(0)

    expect(ann.result?.kind).toBe('decided')
    expect(records).toEqual([])
  })

  it('begins with the add if a client does not wait, and answers it once both have ended', async () => {
    const { submit, job, end, records } = recorded()
    const [ann, bob] = [submit('ann', 0), submit('bob', 0)]
    await pass(0)
    expect(records.map(({ job }) => job.jobId)).toEqual([job(0).jobId])

    records[0]?.end(RECORDED)
    await pass(0)
    expect([ann.result, bob.result]).toEqual([undefined, undefined])
    end(0)
    await pass(0)
    expect([ann.result?.kind, bob.result?.kind]).toEqual(['accepted', 'accepted'])
  })

  it('is awaited if the add ends first', async () => {
    const { submit, end, records } = recorded()
    const ann = submit('ann', 0)
    await pass(0)
    end(0)
    await pass(0)
    expect(ann.result).toBeUndefined()

    records[0]?.end(RECORDED)
    await pass(0)
    expect(ann.result?.kind).toBe('accepted')
  })

  it('is made once for all clients of a job whose deadlines pass', async () => {
    const { submit, end, records } = recorded()
    const got = [submit('ann', 500), submit('bob', 600), submit('cem', 700)]
    await pass(0)
    end(0)
    await pass(650)
    expect(records).toHaveLength(1)
    expect(got.map(({ result }) => result)).toEqual([undefined, undefined, undefined])

    records[0]?.end(RECORDED)
    await pass(0)
    expect(got.map(({ result }) => result?.kind)).toEqual(['accepted', 'accepted', undefined])
    await pass(100)
    expect(got[2]?.result?.kind).toBe('accepted')
    expect(records).toHaveLength(1)
  })

  it('is followed by another add if Redis has lost the job before the commit', async () => {
    const { submit, job, end, records, added } = recorded()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    await pass(500)
    expect(added).toEqual([])

    records[0]?.end(AFTER_LOSS)
    await pass(0)
    expect(added).toEqual([job(0)])
    expect(ann.result?.kind).toBe('accepted')
  })

  it('is followed by that add once the first one has ended', async () => {
    const { submit, job, end, records, added } = recorded()
    const ann = submit('ann', 0)
    await pass(0)
    records[0]?.end(AFTER_LOSS)
    await pass(0)
    expect(added).toEqual([])

    end(0)
    await pass(0)
    expect(added).toEqual([job(0)])
    expect(ann.result?.kind).toBe('accepted')
  })

  it('is followed by no add if Redis still has the job', async () => {
    const { submit, job, end, records, added, inRedis } = recorded()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    inRedis.add(job(0).jobId)
    await pass(500)
    records[0]?.end(AFTER_LOSS)
    await pass(0)

    expect(ann.result?.kind).toBe('accepted')
    expect(added).toEqual([])
  })

  it('makes its clients get "unknown" if Redis does not have the job and cannot add it', async () => {
    const { submit, end } = given({
      recordAccepted: async () => AFTER_LOSS,
      isAdded: () => false,
    })
    const ann = submit('ann', 0)
    await pass(0)
    end(0)
    await pass(0)

    expect(ann.result?.kind).toBe('unknown')
  })

  it('lets its clients wait only a moment for a Redis that does not answer', async () => {
    const { submit, end } = given({
      recordAccepted: async () => ({ isRecorded: true, generation: undefined }),
      ensureListed: () => new Promise<never>(() => undefined),
    })
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    await pass(1000)

    expect(ann).toMatchObject({ result: { kind: 'unknown' }, afterMs: 601 })
  })

  it('asks Redis nothing about the job if Redis has lost nothing', async () => {
    let lookups = 0
    const { submit, end } = given({
      async ensureListed() {
        lookups += 1
        return true
      },
    })
    const got = [submit('ann', 0), submit('bob', 500)]
    await pass(0)
    end(0)
    await pass(501)

    expect(got.map(({ result }) => result?.kind)).toEqual(['accepted', 'accepted'])
    expect(lookups).toBe(0)
  })

  it('is attempted again for the next client if it failed', async () => {
    const { submit, end, reply, records, idOf } = recorded()
    const got = [submit('ann', 500), submit('bob', 900), submit('cem')]
    await pass(0)
    end(0)
    await pass(500)
    records[0]?.end(NOT_RECORDED)
    await pass(0)
    expect(got[0]?.result).toEqual({ kind: 'unknown', commandId: idOf(0, 0) })
    expect(got[1]?.result).toBeUndefined()

    await pass(400)
    records[1]?.end(RECORDED)
    await pass(0)
    expect(got[1]?.result?.kind).toBe('accepted')
    reply(0, [booked, booked, booked])
    await pass(0)
    expect(got[2]?.result?.kind).toBe('decided')
  })

  it('is not attempted again for the same client if it failed before the add has ended', async () => {
    const { submit, end, records } = recorded()
    const ann = submit('ann', 0)
    await pass(0)
    records[0]?.end(NOT_RECORDED)
    await pass(0)
    expect(ann.result).toBeUndefined()

    end(0)
    await pass(0)
    expect(ann.result?.kind).toBe('unknown')
    expect(records).toHaveLength(1)
  })

  it('does not delay the decision', async () => {
    const { submit, end, reply, records, submitter } = recorded()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    await pass(500)
    expect(records).toHaveLength(1)

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
    expect(submitter.counts()).toEqual({ commands: 0, held: 0, jobs: 0 })
    expect(() => records[0]?.end(NOT_RECORDED)).not.toThrow()
    await pass(0)
  })
})

describe('a process that drains', () => {
  it('answers "accepted" as soon as a command is stored, held commands included', async () => {
    const { submitter, submit, end } = given()
    const got = [submit('a')]
    await pass(0)
    got.push(submit('b'))
    await pass(0)
    got.push(submit('c'))
    end(0)
    await pass(0)

    submitter.drain()
    await pass(0)
    expect(got.map(({ result }) => result?.kind)).toEqual(['accepted', undefined, undefined])

    end(1)
    end(2)
    await pass(0)
    expect(got.map(({ result }) => result?.kind)).toEqual(['accepted', 'accepted', 'accepted'])
  })

  it('answers "unknown" soon to the clients of a job that cannot be recorded', async () => {
    const { submitter, submit, end } = given({ recordAccepted: async () => NOT_RECORDED })
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(1000)

    submitter.drain()
    await pass(100)

    expect(ann.result?.kind).toBe('unknown')
    expect(submitter.counts()).toEqual({ commands: 0, held: 0, jobs: 0 })
  })

  it('answers "accepted" to the clients of a lost job once it is recorded', async () => {
    const { submitter, submit, end } = given({ isAdded: () => false })
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(1000)
    submitter.rescue()
    await pass(0)

    submitter.drain()
    await pass(0)

    expect(ann.result?.kind).toBe('accepted')
  })

  it('does not let later clients wait for the decision', async () => {
    const { submitter, submit, end } = given()
    submitter.drain()
    const ann = submit('ann')
    await pass(0)

    end(0)
    await pass(0)

    expect(ann.result?.kind).toBe('accepted')
  })
})
