import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../stack/databases.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type OpsRun, runOps } from './run-ops.ts'

let system: System
let redis: Redis
let staff: string
beforeAll(async () => {
  // Nothing lapses, so that a test can look at what is due.
  system = await startSystem({ env: { HOLD_EXPIRY: 'off' } })
  redis = new Redis(system.redisUrl)
  staff = await system.token('olga', 'organizer')
}, 120_000)
afterAll(async () => {
  redis?.disconnect()
  await system?.stop()
})

let eventId = 0
beforeEach(() => {
  eventId += 1
})

async function create(settings: Record<string, unknown>): Promise<void> {
  const created = await system.api.post('/events', { eventId, ...settings }, { token: staff })
  expect(created.status).toBe(201)
}

async function change(settings: Record<string, unknown>): Promise<void> {
  const changed = await system.api.request('PATCH', `/events/${eventId}`, settings, {
    token: staff,
  })
  expect(changed.status).toBe(200)
}

async function send(path: string, userId: string): Promise<string> {
  const token = await system.token(userId)
  const headers = { prefer: 'return=representation' }
  return (await system.api.post(path, { eventId }, { token, headers })).body.outcome
}

async function shown(...args: string[]): Promise<string> {
  return (await runOps(['event', String(eventId), ...args], system.env)).stdout
}

async function data(...args: string[]): Promise<OpsRun['data']> {
  return (await runOps(['event', String(eventId), '--json', ...args], system.env)).data
}

const settleMark = (): string => `${system.keyPrefix}{s0}:event-${eventId}:settle:${eventId}`

describe('ops event', { timeout: 120_000 }, () => {
  it('shows the settings, how many tickets are held, and the holds that lapse first', async () => {
    await create({
      totalTickets: 3,
      name: 'Concert',
      opensAt: '2026-01-31T20:00:00+01:00',
      holdSeconds: 600,
      confirmation: 'staff',
    })
    for (const userId of ['ada', 'bob', 'cem']) expect(await send('/book', userId)).toBe('held')

    const report = await data('--holds', '2')
    expect(report.event).toMatchObject({
      totalTickets: 3,
      availableTickets: 0,
      state: 'open',
      heldTickets: 3,
      withheldTickets: 0,
      owner: 'olga',
      shared: false,
      organizers: [],
      version: 1,
    })
    expect(report.settings).toEqual({
      name: 'Concert',
      startsAt: null,
      endsAt: null,
      timezone: null,
      venue: null,
      url: null,
      listed: true,
      opensAt: '2026-01-31T19:00:00.000Z',
      closesAt: null,
      holdSeconds: 600,
      offerSeconds: null,
      maxHoldSeconds: null,
      confirmation: 'staff',
      maxWaiting: null,
      sales: 'open',
      promotion: 'on',
    })
    const hold = (userId: string, sequence: number) => ({
      bookingId: `${eventId}-${sequence}`,
      userId,
      expiresAtMs: expect.any(Number),
      offered: false,
    })
    expect(report.nextHolds).toEqual([hold('ada', 1), hold('bob', 2)])
    expect(report.due).toEqual({
      // The log then says that the first hold is about to lapse.
      dueAtMs: report.nextHolds[0].expiresAtMs - 120_000,
      overdueMs: 0,
      claimsToEnd: 0,
      settle: { kind: 'none' },
    })

    const text = await shown()
    expect(text).toContain(
      `Event ${eventId}: 0 of 3 tickets free, 0 on the waiting list\n  open, 3 held, 0 withheld from the waiting list\n  owner: olga\n`,
    )
    expect(text).toContain(
      'Settings (version 1), other than the defaults:\n  name          "Concert"\n',
    )
    expect(text).toMatch(/^ {2}holdSeconds {3}600$/m)
    expect(text).toMatch(
      /^The next 3 of 3 holds to lapse:\n {2}\S+Z {2}in \d+ s {2}hold {2}ada {2}\d+-1$/m,
    )
    expect(text).toMatch(/^The next settle is due at \S+Z \(in \d+ s\)\.$/m)
  })

  it('shows who is staff of the event', async () => {
    await create({ totalTickets: 1 })
    const organizers = { userIds: ['otto', 'ulla'] }
    const path = `/events/${eventId}/organizers`
    expect((await system.api.put(path, organizers, { token: staff })).status).toBe(200)
    expect(await shown()).toContain('\n  owner: olga, organizers: otto, ulla\n')
    expect((await data()).event).toMatchObject({ owner: 'olga', organizers: ['otto', 'ulla'] })

    const without = (shared: boolean) =>
      queryOnce(
        system.databaseUrl,
        `UPDATE events SET owner = NULL, shared = ${shared} WHERE event_id = ${eventId}`,
      )
    await without(true)
    expect(await shown()).toContain(
      '\n  no owner, shared by all organizers, organizers: otto, ulla\n',
    )
    await without(false)
    expect(await shown()).toContain('\n  no owner, only admins are staff, organizers: otto, ulla\n')
    expect((await data()).event).toMatchObject({ owner: null, shared: false })
  })

  it('shows withheld tickets and a settle that is overdue', async () => {
    await create({ totalTickets: 1, promotion: 'off', offerSeconds: 600 })
    for (const userId of ['ada', 'bob']) await send('/book', userId)
    expect(await send('/cancel', 'ada')).toBe('canceled')
    expect((await data()).due.dueAtMs).toBeNull()
    await change({ promotion: 'on' })

    const report = await data()
    expect(report.event).toMatchObject({ availableTickets: 0, withheldTickets: 1, version: 2 })
    expect(report.due.overdueMs).toBeGreaterThan(0)
    const text = await shown()
    expect(text).toContain('  open, 0 held, 1 withheld from the waiting list\n')
    expect(text).toMatch(/^The next settle is due at \S+Z \(\d+(?:\.\d)? s ago\)\.$/m)
    expect(text).toMatch(/ configure {2}configured {2}olga /)
  })

  it('shows how many tickets leave an event that shrinks when they come back', async () => {
    await create({ totalTickets: 2 })
    for (const userId of ['ada', 'bob']) await send('/book', userId)
    await change({ totalTickets: 0, shrink: true })

    expect((await data()).event).toMatchObject({ totalTickets: 0, surplusTickets: 2 })
    expect(await shown()).toContain('2 tickets to leave when they come back')
  })

  it('shows how many claims of a canceled event are still to be ended', async () => {
    await create({ totalTickets: 1, holdSeconds: 600 })
    for (const userId of ['ada', 'bob']) await send('/book', userId)
    const canceled = await system.api.post(`/events/${eventId}/cancel`, {}, { token: staff })
    expect(canceled.status).toBe(200)

    const report = await data()
    expect(report.event).toMatchObject({ state: 'canceled', heldTickets: 0, waitingListCount: 0 })
    expect([report.nextHolds, report.due.claimsToEnd]).toEqual([[], 2])
    expect(await shown()).toContain(', 2 claims to be ended\n')
  })

  it('shows the last changes of the event, the latest first, and the range of its log', async () => {
    await create({ totalTickets: 1 })
    for (const userId of ['ada', 'bob']) await send('/book', userId)

    const report = await data('--changes', '2')
    expect(report.changes).toEqual({ oldest: 1, last: 4 })
    expect(report.lastChanges).toMatchObject([
      { no: 4, type: 'waitlist.joined', userId: 'bob', actor: { kind: 'user', id: 'bob' } },
      { no: 3, type: 'event.sold_out', userId: null, actor: { kind: 'user', id: 'ada' } },
    ])
    const text = await shown()
    expect(text).toContain('The change log has the changes 1 to 4.\n  4')
    expect(text).toMatch(/^ {2}4 {2}\S+Z {2}waitlist\.joined +bob +- +by bob +\{"position":1\}$/m)
    expect(text).toMatch(
      /^ {2}2 {2}\S+Z {2}booking\.confirmed +ada +\d+-1 +by ada +\{"origin":"sale"\}$/m,
    )
    expect(text).toMatch(/^ {2}1 {2}\S+Z {2}event\.created +- +- +by olga +\{"settings":/m)

    await queryOnce(
      system.databaseUrl,
      `SET ticket_line.pruning = 'on'; DELETE FROM changes WHERE event_id = ${eventId} AND no < 3`,
    )
    expect((await data()).changes).toEqual({ oldest: 3, last: 4 })
  })

  it('says that a settle is not in the line, or that the last one was rejected', async () => {
    await create({ totalTickets: 1 })
    const jobId = `event-${eventId}.00000000000000000000a.1`
    await redis.set(settleMark(), jobId, 'PX', 30_000)
    expect((await data()).due.settle).toEqual({ kind: 'not_in_line', jobId })
    expect(await shown()).toContain(`  The settle ${jobId} is not in the line: it is being added`)

    await redis.set(settleMark(), 'rejected', 'PX', 300_000)
    expect((await data()).due.settle).toEqual({ kind: 'rejected', nextInMs: expect.any(Number) })
    expect(await shown()).toMatch(
      /The last settle was rejected\. Workers add the next one in 2\d\d s\./,
    )
  })
})

describe('ops status while nothing that is due is applied', { timeout: 120_000 }, () => {
  it('counts held and withheld tickets, and says that a deadline is overdue', async () => {
    await create({ totalTickets: 2, holdSeconds: 600, promotion: 'off' })
    for (const userId of ['ada', 'bob', 'cem']) await send('/book', userId)
    expect(await send('/cancel', 'ada')).toBe('released')
    await change({ promotion: 'on' })
    const { stdout } = await runOps(['status'], system.env)
    expect(stdout).toMatch(/, \d+ tickets? held, \d+ tickets? withheld\n/)

    const isOverdue = async () => (await runOps(['status'], system.env)).exitCode === 1
    expect(await until(isOverdue, { timeoutMs: 60_000 })).toBe(true)
    const { data: report } = await runOps(['status', '--json'], system.env)
    expect(report.database.said.holds.overdueSeconds).toBeGreaterThan(10)
    expect(report.attention.join()).toContain('HoldsOverdue in docs/operations.md')
  })
})

describe('ops event beside a worker that settles', { timeout: 120_000 }, () => {
  it('lists the settle that let a hold lapse among the last decisions', async () => {
    await create({ totalTickets: 1, holdSeconds: 5 })
    expect(await send('/book', 'ada')).toBe('held')
    await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))
    await system.addWorker({ HOLD_EXPIRY: 'on' })
    const lapsed = async () => (await system.api.get(`/events/${eventId}`)).body.heldTickets === 0
    expect(await until(lapsed, { timeoutMs: 30_000 })).toBe(true)

    const settles = (await data()).lastDecisions.filter(
      (row: { type: string }) => row.type === 'settle',
    )
    expect(settles[0]).toMatchObject({ outcome: 'settled', userId: '' })
    const text = await shown()
    expect(text).toMatch(/^ {2}\S+Z {2}settle {2}settled {2}- {4}\S+$/m)
    expect(text).toContain('No settle is due.')
  })
})
