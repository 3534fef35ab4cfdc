import type { StoredCommand } from '@ticket-line/db'
import {
  type CommandRequest,
  commandIdOf,
  createLog,
  type JobReply,
  newJobId,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Counts } from './entrance.js'
import { type JobStore, type JobToStore, LOOK_FOR_MS, type StoreResult } from './job-store.js'
import type { SubmitResult } from './line-client.js'
import { createSubmitter, type SubmitterDeps } from './submitter.js'

beforeEach(() => void vi.useFakeTimers({ now: 1_785_000_000_000 }))
afterEach(() => void vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
const booked: Outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: 1 }
const refused: RefusedOutcome = { outcome: 'refused', decidedAtMs: 1 }

/** A submitter before a Redis and a PostgreSQL that answer as the test says. */
function given({
  isAdded = () => true,
  ...deps
}: Partial<SubmitterDeps> & { isAdded?: () => boolean } = {}) {
  const jobs: JobToStore[] = []
  const ends: ((result: StoreResult) => void)[] = []
  const stored = new Map<string, Outcome | RefusedOutcome>()
  const inRedis = new Set<string>()
  const left: Counts[] = []
  const added: JobToStore[] = []
  const submitter = createSubmitter({
    layout: { lines: 0, shards: 1, keyPrefix: 'test' },
    replyTo: 'api-1',
    newJobId,
    entrance: {
      enter: (_lineName, counts) => counts,
      leave: (_lineName, counts) => left.push(counts),
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
    },
    isInRedis: async (_lineName, jobId) => inRedis.has(jobId),
    findStored: async (commandId) => {
      const outcome = stored.get(commandId)
      return outcome === undefined ? undefined : ({ outcome } as StoredCommand)
    },
    holdMs: 100,
    log: createLog('test', 'silent'),
    now: () => Date.now(),
    monotonicMs: () => Date.now(),
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    soon: setImmediate,
    ...deps,
  })
  /** What a client hears, with the time it waited; `undefined` while it hears nothing. */
  function submit(
    userId: string,
    waitMs = 10_000,
    eventId = 1,
  ): { result?: SubmitResult; afterMs?: number } {
    const heard: { result?: SubmitResult; afterMs?: number } = {}
    const request: CommandRequest = { type: 'book', eventId, userId, caller: userId }
    const startedAt = Date.now()
    void submitter.submit(request, { waitMs }).then((result) => {
      heard.result = result
      heard.afterMs = Date.now() - startedAt
    })
    return heard
  }
  const job = (index: number): JobToStore => jobs[index] as JobToStore
  const end = (index: number, result: StoreResult = { kind: 'stored' }): void =>
    ends[index]?.(result)
  const reply = (index: number, outcomes: JobReply['outcomes']): void =>
    submitter.replied({ jobId: job(index).jobId, outcomes })
  const idOf = (index: number, command: number): string => commandIdOf(job(index).jobId, command)
  return { submitter, submit, jobs, job, end, reply, idOf, stored, inRedis, left, added }
}

describe('a client that waits', () => {
  it('hears the decision when the reply comes, and nothing before', async () => {
    const { submitter, submit, job, end, reply, idOf } = given()
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(50)
    expect(ann.result).toBeUndefined()
    expect(job(0)).toMatchObject({ lineName: 'event-1', payload: { v: 1, replyTo: 'api-1' } })

    reply(0, [booked])
    await pass(0)

    expect(ann.result).toEqual({ kind: 'decided', commandId: idOf(0, 0), outcome: booked })
    expect(submitter.counts()).toEqual({ waiting: 0, held: 0, jobs: 0 })
  })

  it('hears the decision also where the reply overtakes the answer to the add', async () => {
    const { submitter, submit, end, reply } = given()
    const ann = submit('ann')
    await pass(0)

    reply(0, [booked])
    end(0)
    await pass(0)

    expect(ann.result?.kind).toBe('decided')
    expect(submitter.counts().jobs).toBe(0)
  })

  it('hears its own outcome among those of its job', async () => {
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

  it('hears 202 at its deadline, and not what comes later', async () => {
    const { submit, end, reply, idOf } = given()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)

    await pass(500)
    expect(ann).toEqual({ result: { kind: 'accepted', commandId: idOf(0, 0) }, afterMs: 500 })

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('accepted')
  })

  it('hears at its deadline what is stored, where the reply was lost', async () => {
    const { submit, end, idOf, stored } = given()
    const ann = submit('ann', 500)
    await pass(0)
    end(0)
    await pass(100)
    stored.set(idOf(0, 0), booked)

    await pass(400)

    expect(ann).toMatchObject({ result: { kind: 'decided', outcome: booked }, afterMs: 500 })
  })

  it('hears 202 soon after its deadline where PostgreSQL does not answer', async () => {
    const { submit, end } = given({ findStored: () => new Promise(() => undefined) })
    const ann = submit('ann', 500)
    await pass(0)
    end(0)

    await pass(750)

    expect(ann.result?.kind).toBe('accepted')
    expect(ann.afterMs).toBeLessThanOrEqual(750)
  })

  it('hears 202 only once the job is stored, where its deadline comes before', async () => {
    const { submit, end } = given()
    const ann = submit('ann', 50)
    await pass(0)

    await pass(200)
    expect(ann.result).toBeUndefined()
    end(0)
    await pass(0)
    expect(ann.result?.kind).toBe('accepted')
  })

  it('whose deadline comes while it is held has everything held stored at once, in order', async () => {
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

describe('a client that does not wait', () => {
  it('hears 202 as soon as its command is stored', async () => {
    const { submit, end, idOf } = given()
    const ann = submit('ann', 0)
    await pass(0)
    expect(ann.result).toBeUndefined()

    end(0)
    await pass(0)

    expect(ann.result).toEqual({ kind: 'accepted', commandId: idOf(0, 0) })
  })

  it('has those in front of it stored as well, and they go on waiting', async () => {
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

describe('an add that failed', () => {
  it('is looked for until the first of its clients has waited so long, from the start of his request', async () => {
    const until: number[] = []
    const { submitter } = given({
      jobStore: {
        store: (_job, lookUntilMs) => {
          until.push(lookUntilMs)
          return new Promise(() => undefined)
        },
      } as JobStore,
    })
    const request: CommandRequest = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' }

    void submitter.submit(request, { waitMs: 1000, spentMs: 250 })
    void submitter.submit({ ...request, userId: 'bob', caller: 'bob' }, { waitMs: 1000 })
    await pass(0)

    expect(until).toEqual([Date.now() - 250 + LOOK_FOR_MS])
  })

  it('is unavailable to everybody in it, under the id it had, and its count is taken back', async () => {
    const { submitter, submit, end, idOf, left } = given()
    const [ann, bob] = [submit('ann'), submit('bob', 0)]
    await pass(0)

    end(0, { kind: 'refused' })
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unavailable', commandId: idOf(0, 0) })
    expect(bob.result).toEqual({ kind: 'unavailable', commandId: idOf(0, 1) })
    expect(left).toEqual([new Map([[1, 2]])])
    expect(submitter.counts().jobs).toBe(0)
  })

  it('is unknown where nobody can tell', async () => {
    const { submit, end, idOf } = given()
    const ann = submit('ann')
    await pass(0)

    end(0, { kind: 'unknown' })
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unknown', commandId: idOf(0, 0) })
  })

  it('but was decided is answered with the decision, and the rest of it is refused', async () => {
    const { submit, end, idOf } = given()
    const [ann, bob] = [submit('ann', 0), submit('bob')]
    await pass(0)

    end(0, { kind: 'settled', outcomes: new Map([[idOf(0, 0), booked]]) })
    await pass(0)

    expect(ann.result).toMatchObject({ kind: 'decided', outcome: booked })
    expect(bob.result).toMatchObject({ kind: 'unavailable' })
  })
})

describe('a reply that says refused', () => {
  it('is unavailable to the client: it was told so, or would have been', async () => {
    const { submit, end, reply } = given()
    const ann = submit('ann')
    await pass(0)
    end(0)

    reply(0, [refused])
    await pass(0)

    expect(ann.result?.kind).toBe('unavailable')
  })

  it('of a job that nobody waits for is passed over', () => {
    const { submitter } = given()

    expect(() => submitter.replied({ jobId: 'event-1.x.1', outcomes: [booked] })).not.toThrow()
  })
})

describe('a reply that does not come', () => {
  async function overdue(deps: Parameters<typeof given>[0] = {}) {
    const all = given(deps)
    const ann = all.submit('ann')
    await pass(0)
    all.end(0)
    await pass(0)
    return { ...all, ann }
  }

  it('is looked up in PostgreSQL after a second', async () => {
    const { submitter, ann, stored, idOf } = await overdue()
    stored.set(idOf(0, 0), booked)
    await pass(999)
    submitter.tick()
    await pass(0)
    expect(ann.result).toBeUndefined()

    await pass(1)
    submitter.tick()
    await pass(0)

    expect(ann.result).toMatchObject({ kind: 'decided', outcome: booked })
  })

  it('of a job that Redis still holds is waited for', async () => {
    const { submitter, ann, inRedis, jobs, job } = await overdue()
    inRedis.add(job(0).jobId)

    for (let i = 0; i < 8; i++) {
      await pass(250)
      submitter.tick()
    }
    await pass(0)

    expect(jobs).toHaveLength(1)
    expect(ann.result).toBeUndefined()
  })

  it('of a job that Redis lost has it added again, under the same ids', async () => {
    const { submitter, ann, added, job, reply } = await overdue()
    await pass(1000)
    submitter.tick()
    await pass(0)

    expect(added).toEqual([job(0)])
    expect(added[0]).toBe(job(0))

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
  })

  it('of a job that Redis lost has it added again and again while adds fail, as on a busy machine', async () => {
    let busy = true
    const { submitter, ann, added, reply } = await overdue({ isAdded: () => !busy })
    await pass(1000)
    for (let i = 0; i < 30; i++) {
      submitter.tick()
      await pass(250)
    }
    expect(added.length).toBeGreaterThan(10)
    expect(ann.result).toBeUndefined()

    busy = false
    submitter.tick()
    await pass(0)
    const attempts = added.length
    submitter.tick()
    await pass(0)
    expect(added).toHaveLength(attempts)

    reply(0, [booked])
    await pass(0)
    expect(ann.result?.kind).toBe('decided')
  })

  it('of a job that Redis lost is answered with 202 if the job is added again just after the deadline', async () => {
    let busy = true
    const { submitter, ann } = await overdue({ isAdded: () => !busy })
    await pass(7000)
    submitter.tick()
    await pass(3050)
    expect(ann.result).toBeUndefined()

    busy = false
    submitter.tick()
    await pass(0)
    expect(ann).toMatchObject({ result: { kind: 'accepted' }, afterMs: 10_050 })
  })

  it('of a job that Redis lost and does not take again is unknown to the client at its deadline', async () => {
    const { submitter, ann, idOf } = await overdue({ isAdded: () => false })
    for (let i = 0; i < 41; i++) {
      await pass(250)
      submitter.tick()
    }

    expect(ann).toEqual({ result: { kind: 'unknown', commandId: idOf(0, 0) }, afterMs: 10_100 })
    expect(submitter.counts()).toEqual({ waiting: 0, held: 0, jobs: 0 })
  })

  it('of a job that Redis lost is unknown at the deadline although the add does not end', async () => {
    const { submitter, ann } = await overdue({
      jobStore: {
        store: async () => ({ kind: 'stored' }),
        addAgain: () => new Promise(() => undefined),
      },
    })
    await pass(9900)
    submitter.tick()

    await pass(200)

    expect(ann).toMatchObject({ result: { kind: 'unknown' }, afterMs: 10_100 })
  })

  it('of a job that is found lost during the last look is not answered with 202', async () => {
    const deadline = Date.now() + 10_000
    const { submitter, ann } = await overdue({
      isAdded: () => false,
      findStored: () =>
        Date.now() === deadline ? new Promise(() => undefined) : Promise.resolve(undefined),
    })
    await pass(10_050)
    expect(ann.result).toBeUndefined()
    submitter.tick()

    await pass(50)

    expect(ann).toMatchObject({ result: { kind: 'unknown' }, afterMs: 10_100 })
  })

  it('of a job that Redis lost does not let others of the job lose the 202 that they heard', async () => {
    const { submitter, submit, end, idOf, reply } = given({ isAdded: () => false })
    const [ann, bob] = [submit('ann', 1200), submit('bob', 500)]
    await pass(0)
    end(0)
    await pass(1000)
    expect(bob.result?.kind).toBe('accepted')
    submitter.tick()
    await pass(300)
    expect(ann.result).toEqual({ kind: 'unknown', commandId: idOf(0, 0) })

    // A worker that had the job in its hands finishes it all the same.
    expect(() => reply(0, [booked, booked])).not.toThrow()
    expect(bob.result?.kind).toBe('accepted')
  })

  it('is not looked for while its add is under way', async () => {
    const { submitter, submit, jobs } = given()
    submit('ann')
    await pass(3000)

    submitter.tick()
    await pass(0)

    expect(jobs).toHaveLength(1)
  })

  it('is looked for again where the look-up failed', async () => {
    const findStored = vi.fn(() => Promise.reject(new Error('away')))
    const { submitter, ann } = await overdue({ findStored })
    await pass(1000)
    submitter.tick()
    await pass(1000)
    submitter.tick()
    await pass(0)

    expect(findStored).toHaveBeenCalledTimes(2)
    expect(ann.result).toBeUndefined()
  })
})

describe('a line that is full', () => {
  it('tells the surplus that it is busy, and nothing of it is stored', async () => {
    const enter = async (): Promise<Counts> => new Map([[1, 1]])
    const { submitter, submit, job, left } = given({ entrance: { enter, leave: () => undefined } })
    const [ann, bob] = [submit('ann'), submit('bob')]
    await pass(0)

    expect(job(0).payload.commands.map(({ userId }) => userId)).toEqual(['ann'])
    expect(bob.result).toEqual({ kind: 'busy' })
    expect(ann.result).toBeUndefined()
    expect(left).toEqual([])
    expect(submitter.counts()).toEqual({ waiting: 1, held: 0, jobs: 1 })
  })

  it('lets the next job go when none of this one may enter', async () => {
    const enter = async (): Promise<Counts> => new Map([[1, 0]])
    const { submit } = given({ entrance: { enter, leave: () => undefined } })
    for (let i = 0; i < 5; i++) {
      const ann = submit('ann')
      await pass(0)
      expect(ann).toEqual({ result: { kind: 'busy' }, afterMs: 0 })
    }
  })

  it('is unavailable where the count cannot be had', async () => {
    const enter = (): Promise<Counts> => Promise.reject(new Error('away'))
    const { submit, jobs } = given({ entrance: { enter, leave: () => undefined } })
    const ann = submit('ann')
    await pass(0)

    expect(ann.result).toEqual({ kind: 'unavailable' })
    expect(jobs).toEqual([])
  })
})

describe('when the process drains', () => {
  it('everybody hears 202 as soon as his command is stored, the held ones included', async () => {
    const { submitter, submit, end } = given()
    const heard = [submit('a')]
    await pass(0)
    heard.push(submit('b'))
    await pass(0)
    heard.push(submit('c'))
    end(0)
    await pass(0)

    submitter.drain()
    await pass(0)
    expect(heard.map(({ result }) => result?.kind)).toEqual(['accepted', undefined, undefined])

    end(1)
    end(2)
    await pass(0)
    expect(heard.map(({ result }) => result?.kind)).toEqual(['accepted', 'accepted', 'accepted'])
  })

  it('clients of a job that Redis lost hear soon that nobody knows', async () => {
    const { submitter, submit, end } = given({ isAdded: () => false })
    const ann = submit('ann')
    await pass(0)
    end(0)
    await pass(1000)
    submitter.tick()
    await pass(0)

    submitter.drain()
    await pass(100)

    expect(ann.result?.kind).toBe('unknown')
    expect(submitter.counts()).toEqual({ waiting: 0, held: 0, jobs: 0 })
  })

  it('whoever comes later does not wait for the decision either', async () => {
    const { submitter, submit, end } = given()
    submitter.drain()
    const ann = submit('ann')
    await pass(0)

    end(0)
    await pass(0)

    expect(ann.result?.kind).toBe('accepted')
  })
})
