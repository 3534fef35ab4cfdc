import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createSettleStack, dueAtOf } from './settle-stack.ts'

describe('holds whose deadline passes', () => {
  it('lapse within two seconds if two workers run, and the waiting list gets their tickets', async () => {
    const stack = await createSettleStack({ workers: 2 })
    await stack.fill({ eventId: 1, held: 3, waiting: 2, expiresInMs: 1500 })
    const dueAtMs = await dueAtOf(stack, 1)

    await stack.lapsed(1, 3)

    expect(await stack.statuses(1)).toEqual({ expired: 3, held: 2 })
    const settles = await stack.decidedSettles(1)
    // A clock that read the deadline before the first settle was decided may add a second one.
    expect(new Set(settles.map(({ outcome }) => outcome))).toEqual(new Set(['settled']))
    const lateMs = Number(settles[0]?.at) - dueAtMs
    expect(lateMs).toBeGreaterThanOrEqual(0)
    expect(lateMs).toBeLessThan(2000)
    const [event] = await stack.query(
      'SELECT available_tickets, held_count, waiting_count FROM events WHERE event_id = 1',
    )
    expect(event).toEqual({ available_tickets: 1, held_count: 2, waiting_count: 0 })
  })

  it('lapse in portions, one settle after another, until nothing is due', async () => {
    const stack = await createSettleStack({ workers: 2 })
    await stack.fill({ eventId: 1, held: 600, waiting: 600, expiresInMs: -1 })

    await stack.settled(1)

    expect(await stack.statuses(1)).toEqual({ expired: 600, held: 600 })
    // A hold that lapses and the offer that follows are two of the 256 changes.
    expect((await stack.decidedSettles(1)).length).toBeGreaterThanOrEqual(5)
    expect(await stack.redis.exists(stack.key(1, 'settle:1'))).toBe(0)
  })

  it('lapse for many events at once, more than one read of the clock returns', async () => {
    const stack = await createSettleStack()
    await Promise.all(
      Array.from({ length: 1100 }, (_, i) =>
        stack.fill({ eventId: i + 1, held: 1, expiresInMs: -1 }),
      ),
    )

    const left = async () =>
      (await stack.query(`SELECT FROM bookings WHERE status = 'held' LIMIT 1`)).length === 0
    expect(await until(left, { timeoutMs: 60_000 })).toBe(true)

    const [{ settles } = { settles: 0 }] = await stack.query<{ settles: number }>(
      `SELECT count(DISTINCT event_id)::int AS settles FROM commands WHERE type = 'settle'`,
    )
    expect(settles).toBe(1100)
  })

  it('give withheld tickets to the waiting list at once', async () => {
    const stack = await createSettleStack()
    await stack.fill({ eventId: 1, held: 1, waiting: 300, withheld: 300, expiresInMs: 3_600_000 })

    await stack.settled(1)

    expect(await stack.statuses(1)).toEqual({ held: 301 })
    const [event] = await stack.query(
      'SELECT capacity, total_tickets, waiting_count FROM events WHERE event_id = 1',
    )
    expect(event).toEqual({ capacity: 301, total_tickets: 301, waiting_count: 0 })
  })
})

describe('a settle', () => {
  it('is added once, however often and by whomever it is asked for', async () => {
    const stack = await createSettleStack({ workers: 0 })
    const asked = Array.from({ length: 5 }, () => stack.settles.add([1, 2]))

    const added = await Promise.all(asked)

    expect(added.reduce((sum, count) => sum + count, 0)).toBe(2)
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(1)
    expect(await stack.redis.llen(stack.key(2, 'wait'))).toBe(1)
  })

  it('counts into the depth of its event until it is decided', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    await stack.settles.add([1])
    expect(await stack.redis.hgetall(stack.key(1, 'depth'))).toEqual({ 1: '1' })

    await stack.system.addWorker()
    await stack.settled(1)

    const isCountedOut = async () => (await stack.redis.exists(stack.key(1, 'depth'))) === 0
    expect(await until(isCountedOut, { timeoutMs: 10_000 })).toBe(true)
  })

  it('is added although its event has as many undecided commands as it may have', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.redis.hset(stack.key(1, 'depth'), '1', 1_000_000)

    expect(await stack.settles.add([1])).toBe(1)

    expect(await stack.redis.hget(stack.key(1, 'depth'), '1')).toBe('1000001')
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(1)
  })

  it('cannot be found by anybody, neither in its line nor when it is decided', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    await stack.settles.add([1])
    const [jobId] = await stack.redis.lrange(stack.key(1, 'wait'), 0, -1)
    expect(await stack.line.find(`${jobId}.0`, 0, () => true)).toBeUndefined()

    await stack.system.addWorker()
    await stack.settled(1)

    const [settle] = await stack.decidedSettles(1)
    expect(settle?.command_id).toBe(`${jobId}.0`)
    expect(await stack.line.find(`${jobId}.0`, 0, () => true)).toBeUndefined()
  })

  it('is decided after the commands that entered the line before it', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    const { line } = stack
    const confirm = await line.submit(
      { type: 'confirm', eventId: 1, userId: 'h0', caller: 'h0' },
      { waitMs: 0 },
    )
    expect(confirm.kind).toBe('accepted')

    await stack.system.addWorker()
    await stack.settled(1)

    expect(await stack.statuses(1)).toEqual({ confirmed: 1 })
  })

  it('is added again if the process that marked the event died before it added the job', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    await stack.redis.set(stack.key(1, 'settle:1'), 'event-1.lost.1', 'PX', 30_000)

    await stack.system.addWorker()
    await stack.settled(1)

    expect(await stack.statuses(1)).toEqual({ expired: 1 })
    const [settle] = await stack.decidedSettles(1)
    const dueAt = await stack.query<{ at: Date }>(
      `SELECT canceled_at AS at FROM bookings WHERE event_id = 1`,
    )
    expect(settle?.at).toEqual(dueAt[0]?.at)
  })

  it('changes nothing twice if its mark was lost and a second one was added', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 2, waiting: 1, expiresInMs: -1 })
    await stack.settles.add([1])
    await stack.redis.del(stack.key(1, 'settle:1'))
    await stack.settles.add([1])
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(2)

    await stack.system.addWorker()
    const bothDecided = async () => (await stack.decidedSettles(1)).length === 2
    expect(await until(bothDecided, { timeoutMs: 20_000 })).toBe(true)

    expect(await stack.statuses(1)).toEqual({ expired: 2, held: 1 })
    const isRemoved = async () => (await stack.redis.exists(stack.key(1, 'settle:1'))) === 0
    expect(await until(isRemoved, { timeoutMs: 10_000 })).toBe(true)
  })

  it('keeps its mark for as long as it waits in a line that is backed up', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.settles.add([1])
    const mark = stack.key(1, 'settle:1')
    await stack.redis.pexpire(mark, 5000)

    expect(await stack.settles.add([1])).toBe(0)

    expect(await stack.redis.pttl(mark)).toBeGreaterThan(20_000)
  })

  it('is added again if only its entry in the list was lost', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    await stack.settles.add([1])
    const [lost] = (await stack.redis.lrange(stack.key(1, 'wait'), 0, -1)) as [string]
    await stack.redis.del(stack.key(1, 'wait'))
    expect(await stack.settles.add([1])).toBe(0)

    await stack.redis.pexpire(stack.key(1, 'settle:1'), 26_000)
    expect(await stack.settles.add([1])).toBe(1)

    expect(await stack.redis.exists(stack.key(1, lost))).toBe(0)
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(1)
    await stack.system.addWorker()
    await stack.settled(1)
    expect(await stack.statuses(1)).toEqual({ expired: 1 })
  })

  it('is not blocked for longer if the clock of Redis was set back', async () => {
    const stack = await createSettleStack({ workers: 0 })
    await stack.redis.set(stack.key(1, 'settle:1'), 'rejected', 'PX', 3_600_000)
    await stack.redis.set(stack.key(2, 'settle:2'), 'event-2.lost.1', 'PX', 60_000)

    expect(await stack.settles.add([1, 2])).toBe(2)
  })

  it('is added within seconds if Redis was flushed while the event was locked', async () => {
    const stack = await createSettleStack({ workers: 2 })
    await stack.fill({ eventId: 1, held: 1, expiresInMs: 3_600_000 })
    const locker = new pg.Client({ connectionString: stack.system.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('BEGIN; SELECT FROM events WHERE event_id = 1 FOR UPDATE')
    await locker.query(`UPDATE events SET due_at = clock_timestamp() WHERE event_id = 1;
      UPDATE bookings SET expires_at = clock_timestamp() WHERE event_id = 1`)
    // The clock cannot see the deadline yet, so this settle is the one that waits for the lock.
    await stack.settles.add([1])
    await until(async () => (await stack.redis.llen(stack.key(1, 'active'))) === 1, {
      timeoutMs: 10_000,
    })
    const keys = await stack.redis.keys(stack.key(1, '*'))
    await stack.redis.unlink(...keys)
    await locker.query('COMMIT')

    await stack.settled(1)

    expect(await stack.statuses(1)).toEqual({ expired: 1 })
  })

  it('that is rejected is not added again, and other events are settled', async () => {
    const stack = await createSettleStack()
    await stack.query(`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.user_id = 'h0' AND NEW.event_id = 1 THEN RAISE EXCEPTION 'poisoned' USING ERRCODE = 'XX000'; END IF;
      RETURN NEW; END $$;
      CREATE TRIGGER poison BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION poison()`)
    await stack.fill({ eventId: 1, held: 1, expiresInMs: -1 })
    const isRejected = async () =>
      (await stack.decidedSettles(1)).some(({ outcome }) => outcome === 'rejected')
    expect(await until(isRejected, { timeoutMs: 30_000 })).toBe(true)
    await until(async () => (await stack.redis.get(stack.key(1, 'settle:1'))) === 'rejected', {
      timeoutMs: 10_000,
    })

    // The clock reads all due events in the order of their deadlines, event 1 first.
    for (const eventId of [2, 3]) {
      await stack.fill({ eventId, held: 1, expiresInMs: -1 })
      await stack.settled(eventId)
    }

    expect(await stack.decidedSettles(1)).toHaveLength(1)
    expect(await stack.redis.pttl(stack.key(1, 'settle:1'))).toBeGreaterThan(240_000)
    expect(await stack.metric('ticket_line_settled_total{effect="rejected"}')).toBe(1)
    expect(await stack.metric('ticket_line_settled_total{effect="lapsed"}')).toBe(2)
  })
})

describe('HOLD_EXPIRY=off', () => {
  it('lets nothing lapse, whoever adds a settle, and shows what is overdue', async () => {
    const stack = await createSettleStack({ env: { HOLD_EXPIRY: 'off' } })
    await stack.fill({ eventId: 1, held: 2, waiting: 1, withheld: 1, expiresInMs: -60_000 })
    await stack.settles.add([1])
    const hasLeft = async () => (await stack.redis.exists(stack.key(1, 'settle:1'))) === 0
    expect(await until(hasLeft, { timeoutMs: 10_000 })).toBe(true)

    const shows = async () => (await stack.metric('ticket_line_held_tickets')) === 2
    expect(await until(shows, { timeoutMs: 15_000 })).toBe(true)

    expect(await stack.statuses(1)).toEqual({ held: 2 })
    expect(await stack.decidedSettles(1)).toEqual([])
    expect(await stack.metric('ticket_line_withheld_tickets')).toBe(1)
    expect(await stack.metric('ticket_line_overdue_seconds')).toBeGreaterThan(0)
    expect(
      stack.system.workers[0]?.logs.some(({ msg }) => msg?.startsWith('HOLD_EXPIRY=off')),
    ).toBe(true)
  })

  it('is refused if it is neither on nor off', async () => {
    await expect(createSettleStack({ env: { HOLD_EXPIRY: 'no' } })).rejects.toThrow(
      'HOLD_EXPIRY must be one of',
    )
  })
})
