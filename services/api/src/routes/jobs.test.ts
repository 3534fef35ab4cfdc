import { describe, expect, it, vi } from 'vitest'
import { jobSchema } from '../http/response-schemas.js'
import { createConcurrencyLimit } from '../limits/concurrency-limit.js'
import type { CommandView, LineClient } from '../queue/line-client.js'
import { appUnderTest, booked, call, fakeLine } from '../testing/app-under-test.js'

const commandId = 'event-1.000000000aaaaaaaaaaaa.1.0'
const queued: CommandView = {
  commandId,
  type: 'book',
  eventId: 1,
  userId: 'ada',
  caller: 'ada',
  state: 'queued',
  ahead: 2500,
  acceptedAtMs: 0,
}
const done: CommandView = {
  ...queued,
  state: 'done',
  ahead: null,
  outcome: { outcome: 'waiting', position: 3, decidedAtMs: 1000 },
}

function appWith(view: CommandView | undefined, lifecycle = { draining: false }) {
  const find = vi.fn<LineClient['find']>(async (_id, _waitMs, mayRead) =>
    view !== undefined && mayRead(view) ? view : undefined,
  )
  return { app: appUnderTest({ line: fakeLine(booked, find), lifecycle }), find }
}

describe('GET /jobs/:jobId', () => {
  it('shows a job in the line, and when to ask again', async () => {
    const { app, find } = appWith(queued)
    const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada' })
    expect(answer.status).toBe(200)
    expect(jobSchema.parse(answer.json)).toEqual({
      jobId: commandId,
      eventId: 1,
      userId: 'ada',
      type: 'book',
      state: 'queued',
      ahead: 2500,
      acceptedAt: '1970-01-01T00:00:00.000Z',
      decidedAt: null,
      outcome: null,
      status: null,
      body: null,
    })
    expect(answer.headers.get('retry-after')).toBe('3')
    expect(find).toHaveBeenCalledWith(commandId, 0, expect.any(Function))
  })

  it('shows what a waiting client would have received', async () => {
    const { app } = appWith(done)
    const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada' })
    expect(jobSchema.parse(answer.json)).toMatchObject({
      state: 'done',
      ahead: null,
      decidedAt: '1970-01-01T00:00:01.000Z',
      outcome: 'waiting',
      status: 200,
      body: { message: 'Added to waiting list' },
    })
    expect(answer.headers.get('retry-after')).toBeNull()
  })

  it('shows a refusal whole', async () => {
    const { app } = appWith({ ...done, outcome: { outcome: 'already_waiting', position: 3, decidedAtMs: 0 } })
    const { json } = await call(app, `GET /jobs/${commandId}`, { as: 'ada' })
    expect(jobSchema.parse(json)).toMatchObject({
      status: 409,
      body: { code: 'already_waiting', position: 3 },
    })
  })

  it('shows the representation that a waiting client would have received if the client prefers it', async () => {
    const outcome = { outcome: 'canceled', promotedUserId: 'bob', decidedAtMs: 1000 } as const
    const { app } = appWith({ ...done, type: 'cancel', outcome })
    const headers = { prefer: 'return=representation, wait=1' }
    const asUser = await call(app, `GET /jobs/${commandId}`, { as: 'ada', headers })
    expect(jobSchema.parse(asUser.json).body).toEqual({
      message: 'Booking canceled',
      outcome: 'canceled',
      jobId: commandId,
      eventId: 1,
      userId: 'ada',
      decidedAt: '1970-01-01T00:00:01.000Z',
    })
    expect(asUser.headers.get('preference-applied')).toBe('wait=1, return=representation')
    const asStaff = await call(app, `GET /jobs/${commandId}`, { as: 'olga organizer', headers })
    expect(asStaff.json.body).toMatchObject({ promotedUserId: 'bob' })
  })

  it('shows bookingId and position in the representation', async () => {
    const headers = { prefer: 'return=representation' }
    const waiting = await call(appWith(done).app, `GET /jobs/${commandId}`, { as: 'ada', headers })
    expect(waiting.json.body).toMatchObject({ outcome: 'waiting', position: 3 })
    const { app } = appWith({ ...done, outcome: { outcome: 'booked', bookingId: '1-6', decidedAtMs: 1000 } })
    const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada', headers })
    expect(answer.json.body).toMatchObject({ outcome: 'booked', bookingId: '1-6' })
  })

  it('does not claim to have applied return=representation to a refusal or an undecided job', async () => {
    const headers = { prefer: 'return=representation' }
    const refused = appWith({ ...done, outcome: { outcome: 'already_booked', decidedAtMs: 0 } })
    for (const { app } of [refused, appWith(queued)]) {
      const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada', headers })
      expect(answer.headers.get('preference-applied')).toBeNull()
    }
  })

  it('is 503 busy if as many clients wait as the process takes, and they do not count as requests', async () => {
    let decide: (view: CommandView) => void = () => undefined
    const decided = new Promise<CommandView>((resolve) => {
      decide = resolve
    })
    const find = vi.fn<LineClient['find']>(() => decided)
    const [requests, longPolls] = [createConcurrencyLimit(1), createConcurrencyLimit(1)]
    const app = appUnderTest({ line: fakeLine(booked, find), requests, longPolls })
    const wait = { as: 'ada', headers: { prefer: 'wait=1' } }
    const first = call(app, `GET /jobs/${commandId}`, wait)
    await vi.waitFor(() => expect(find).toHaveBeenCalled())
    const second = await call(app, `GET /jobs/${commandId}`, wait)
    expect(second).toMatchObject({ status: 503, json: { code: 'busy' } })
    expect(second.headers.get('retry-after')).toBe('1')
    decide(done)
    expect((await first).status).toBe(200)
    expect([requests.count(), longPolls.count()]).toEqual([0, 0])
  })

  it('waits as preferred', async () => {
    const { app, find } = appWith(queued)
    const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada', headers: { prefer: 'wait=60' } })
    expect(find.mock.calls.reduce((sum, [, waitMs]) => sum + waitMs, 0)).toBe(30_000)
    expect(answer.headers.get('preference-applied')).toBe('wait=30')
  })

  it('ends the wait with the decision, or when the process stops', async () => {
    const headers = { prefer: 'wait=30' }
    const decided = appWith(done)
    await call(decided.app, `GET /jobs/${commandId}`, { as: 'ada', headers })
    expect(decided.find).toHaveBeenCalledOnce()
    const stopping = appWith(queued, { draining: true })
    const answer = await call(stopping.app, `GET /jobs/${commandId}`, { as: 'ada', headers })
    expect(stopping.find).toHaveBeenCalledOnce()
    expect(answer).toMatchObject({ status: 200, json: { state: 'queued' } })
  })

  it('is a 503 where nobody answers in time', async () => {
    const { app, find } = appWith(done)
    find.mockReturnValue(new Promise(() => undefined))
    const answer = await call(app, `GET /jobs/${commandId}`, { as: 'ada' })
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable' } })
  })

  it('is for its owner and staff', async () => {
    const { app } = appWith(done)
    expect((await call(app, `GET /jobs/${commandId}`, { as: 'eve organizer' })).status).toBe(200)
    expect((await call(app, `GET /jobs/${commandId}`, { as: 'eve admin' })).status).toBe(200)
    expect((await call(app, `GET /jobs/${commandId}`)).status).toBe(401)
  })

  it("makes somebody else's job look like one that never was", async () => {
    const stranger = await call(appWith(done).app, `GET /jobs/${commandId}`, { as: 'eve' })
    const nobody = await call(appWith(undefined).app, `GET /jobs/${commandId}`, { as: 'eve' })
    expect(stranger.status).toBe(404)
    expect(stranger.text).toBe(nobody.text)
  })

  it('looks for nothing that cannot be one of its ids', async () => {
    const { app, find } = appWith(done)
    for (const id of ['1', 'x:y', 'event-1', '%00', 'event-1.000000000aaaaaaaaaaaa.1.1']) {
      expect((await call(app, `GET /jobs/${id}`, { as: 'ada' })).status).toBe(404)
    }
    expect(find).not.toHaveBeenCalled()
  })
})
