import { hostname } from 'node:os'
import { JOB_VERSION, newJobId } from '@ticket-line/shared'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../stack/databases.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type OpsRun, runOps } from './run-ops.ts'

// Each run of the tool is a process, which takes seconds to start on a busy machine.
const SLOW = { timeout: 120_000 }

let system: System
let redis: Redis
const queues: Queue[] = []

async function start(): Promise<void> {
  system = await startSystem()
  redis = new Redis(system.redisUrl, { maxRetriesPerRequest: null })
}
async function stop(): Promise<void> {
  await Promise.all(queues.splice(0).map((queue) => queue.close()))
  redis?.disconnect()
  await system?.stop()
}

interface Line {
  eventId: number
  lineName: string
  /** The line's keys start with this. */
  base: string
  queue: Queue
}

let nextEventId = 1
async function newLine(totalTickets = 5): Promise<Line> {
  const eventId = nextEventId++
  const token = await system.token('olga', 'organizer')
  const created = await system.api.post('/initialize', { eventId, totalTickets }, { token })
  expect(created.status).toBe(201)
  const lineName = `event-${eventId}`
  const prefix = `${system.keyPrefix}{s0}`
  const queue = new Queue(lineName, { connection: redis, prefix, skipMetasUpdate: true })
  queues.push(queue)
  return { eventId, lineName, base: `${prefix}:${lineName}:`, queue }
}

async function book({ eventId }: Line, userId: string, prefer?: string) {
  const headers: Record<string, string> = prefer === undefined ? {} : { prefer }
  return system.api.post('/book', { eventId }, { token: await system.token(userId), headers })
}

async function queuedJobId({ queue }: Line): Promise<string> {
  expect(
    await until(async () => (await queue.getWaitingCount()) === 1, { timeoutMs: 10_000 }),
  ).toBe(true)
  return (await queue.getWaiting())[0]?.id as string
}

const ops = (...args: string[]): Promise<OpsRun> => runOps([...args, '--json'], system.env)

describe('the operators’ tool on a healthy system', SLOW, () => {
  beforeAll(start, 120_000)
  afterAll(stop)

  it('finds nothing to reconcile and no broken promise under load, and then drains the lines', async () => {
    const line = await newLine(50)
    const herd = Promise.all(Array.from({ length: 600 }, (_, i) => book(line, `user-${i % 400}`)))
    const [verified, reconciled] = await Promise.all([
      ops('verify'),
      ops('reconcile', '--settle', '0.5'),
      herd,
    ])
    expect(verified.data.checks.filter((check: { broken: number }) => check.broken > 0)).toEqual([])
    expect([reconciled.exitCode, reconciled.data.findings]).toEqual([0, []])
    expect(await ops('drain', '--timeout', '20')).toMatchObject({ exitCode: 0, data: { ok: true } })
  })

  it('shows an event with its counters, its line, its worker and its last decisions', async () => {
    const line = await newLine(1)
    for (const userId of ['ada', 'bob', 'ada']) await book(line, userId)

    const { exitCode, data } = await ops('event', String(line.eventId))

    expect(exitCode).toBe(0)
    expect(data.event).toEqual({
      eventId: line.eventId,
      totalTickets: 1,
      availableTickets: 0,
      waitingListCount: 1,
      state: 'open',
      heldTickets: 0,
      withheldTickets: 0,
      surplusTickets: 0,
      owner: 'olga',
      shared: false,
      organizers: [],
      version: 1,
    })
    expect(data.nextHolds).toEqual([])
    expect(data.due).toEqual({
      dueAtMs: null,
      overdueMs: 0,
      claimsToEnd: 0,
      settle: { kind: 'none' },
    })
    expect(data.line).toMatchObject({
      name: line.lineName,
      waitingJobs: 0,
      globalConcurrency: 1,
      paused: false,
    })
    expect(data.workerProcesses).toBe(1)
    expect(data.lastServedBy).toBe(`${hostname()}:${system.workers[0]?.pid}`)
    const outcomes = data.lastDecisions.map((row: { outcome: string }) => row.outcome)
    expect(outcomes).toEqual(['already_booked', 'waiting', 'booked'])
    const shown = await runOps(['event', String(line.eventId), '--decisions', '1'], system.env)
    expect(shown.stdout).toContain(
      `Event ${line.eventId}: 0 of 1 tickets free, 1 on the waiting list`,
    )
    expect(shown.stdout.match(/book {2}already_booked {2}ada/g)).toHaveLength(1)
  })

  it('ends with exit code 1 for an event that does not exist', async () => {
    expect(await ops('event', '999999')).toMatchObject({
      exitCode: 1,
      data: { error: 'event_not_found' },
    })
  })

  it('prunes old outcomes and finished jobs and keeps newer outcomes', async () => {
    const line = await newLine()
    const [old, young] = [await book(line, 'ada'), await book(line, 'bob')]
    const finished = async () => (await line.queue.getCompletedCount()) === 2
    expect(await until(finished, { timeoutMs: 10_000 })).toBe(true)
    const commandId = old.headers.get('location')?.split('/').at(-1) as string
    const client = new pg.Client({ connectionString: system.databaseUrl })
    await client.connect()
    await client.query(
      `UPDATE commands SET decided_at = now() - interval '3 days' WHERE command_id = $1`,
      [commandId],
    )
    await client.end()
    const run = await ops('prune')

    expect(run).toMatchObject({ exitCode: 0, data: { ok: true, rows: { commands: 1 } } })
    expect(run.data.jobs).toBeGreaterThanOrEqual(2)
    // All finished jobs are removed, even new ones.
    expect(await redis.keys(`${line.base}*.*`)).toEqual([])
    const poll = async (location: string | null, userId: string) =>
      (await system.api.get(location as string, { token: await system.token(userId) })).status
    expect(await poll(old.headers.get('location'), 'ada')).toBe(404)
    expect(await poll(young.headers.get('location'), 'bob')).toBe(200)
    expect((await runOps(['prune', '--older-than', '1'], system.env)).exitCode).toBe(2)
  })
})

describe('the operators’ tool on lines that were damaged while no worker ran', SLOW, () => {
  const lines = {} as Record<
    | 'unregistered'
    | 'decided'
    | 'lost'
    | 'failed'
    | 'unreadable'
    | 'counted'
    | 'concurrent'
    | 'paused'
    | 'newer',
    Line
  >
  const jobs: Record<string, string> = {}
  let lostStatusUrl: string

  beforeAll(async () => {
    await start()
    lines.decided = await newLine()
    await book(lines.decided, 'ada')
    const completed = async () => (await lines.decided.queue.getCompletedCount()) === 1
    expect(await until(completed, { timeoutMs: 10_000 })).toBe(true)
    await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))

    const [done] = await lines.decided.queue.getCompleted()
    jobs['decided'] = done?.id as string
    await done?.remove()
    await lines.decided.queue.add('commands', done?.data, { jobId: jobs['decided'] })

    lines.lost = await newLine()
    lostStatusUrl = (await book(lines.lost, 'ada', 'respond-async')).body.statusUrl
    jobs['lost'] = await queuedJobId(lines.lost)
    await redis.del(`${lines.lost.base}wait`)

    for (const name of ['failed', 'unreadable'] as const) {
      const line = await newLine()
      lines[name] = line
      if (name === 'failed') await book(line, 'ada', 'respond-async')
      else
        await line.queue.add(
          'commands',
          { v: 1 },
          { jobId: newJobId(line.lineName, 1, Date.now()) },
        )
      const jobId = await queuedJobId(line)
      jobs[name] = jobId
      await redis.del(`${line.base}wait`)
      await redis.zadd(`${line.base}failed`, Date.now(), jobId)
      await redis.hset(`${line.base}${jobId}`, 'failedReason', 'by hand', 'finishedOn', Date.now())
    }

    lines.counted = await newLine()
    await redis.hset(`${lines.counted.base}depth`, String(lines.counted.eventId), 7)

    lines.concurrent = await newLine()
    await book(lines.concurrent, 'ada', 'respond-async')
    await queuedJobId(lines.concurrent)
    await redis.lmove(
      `${lines.concurrent.base}wait`,
      `${lines.concurrent.base}active`,
      'RIGHT',
      'LEFT',
    )

    lines.paused = await newLine()
    await book(lines.paused, 'ada', 'respond-async')
    await lines.paused.queue.pause()

    lines.newer = await newLine()
    jobs['newer'] = newJobId(lines.newer.lineName, 1, Date.now())
    await lines.newer.queue.add(
      'commands',
      { v: JOB_VERSION + 1, things: [] },
      { jobId: jobs['newer'] },
    )

    lines.unregistered = await newLine()
    await book(lines.unregistered, 'ada', 'respond-async')
    await queuedJobId(lines.unregistered)
    // This also removes the wake-ups and registrations of all other lines.
    await redis.del(`${system.keyPrefix}{s0}:lines`, `${system.keyPrefix}{s0}:activity`)
  }, 120_000)
  afterAll(stop)

  it('finds each damaged line and says what is wrong with it', async () => {
    const { exitCode, data } = await ops('reconcile', '--settle', '0.2')
    const found = data.findings.map((f: Record<string, string>) => [
      f['lineName'],
      f['kind'],
      f['jobId'],
    ])
    const notMoving = (line: Line) => [line.lineName, 'not_moving', expect.any(String)]
    const expected = [
      [lines.decided.lineName, 'decided_not_completed', jobs['decided']],
      [lines.lost.lineName, 'lost_from_lists', jobs['lost']],
      [lines.lost.lineName, 'stale_count', undefined],
      [lines.failed.lineName, 'failed_undecided', jobs['failed']],
      [lines.failed.lineName, 'stale_count', undefined],
      [lines.unreadable.lineName, 'unreadable_job', jobs['unreadable']],
      [lines.counted.lineName, 'stale_count', undefined],
      [lines.concurrent.lineName, 'no_global_concurrency', undefined],
      [lines.paused.lineName, 'paused', undefined],
      [lines.newer.lineName, 'newer_job', jobs['newer']],
      ...[lines.decided, lines.concurrent, lines.newer, lines.unregistered].map(notMoving),
      ['', 'no_worker', undefined],
    ]
    expect(found).toHaveLength(expected.length)
    expect(found).toEqual(expect.arrayContaining(expected))
    expect(exitCode).toBe(1)
  })

  it('does not end a drain, and names the lines with commands and the API processes', async () => {
    const { exitCode, data } = await ops('drain', '--timeout', '0')
    expect([exitCode, data.ok, data.apiProcesses]).toEqual([1, false, 1])
    const left = data.left.map((line: { lineName: string }) => line.lineName)
    const holding = [lines.decided, lines.concurrent, lines.paused, lines.newer, lines.unregistered]
    expect(left.sort()).toEqual(holding.map((line) => line.lineName).sort())
  })

  it('counts the commands of more than a thousand lines that a drain could not empty', async () => {
    const queues = Array.from({ length: 1001 }, (_, i) => {
      const lineName = `event-${100_000 + i}`
      const key = `${system.keyPrefix}{s0}:${lineName}:wait`
      return { key, jobId: newJobId(lineName, 3, Date.now()) }
    })
    await Promise.all(queues.map(({ key, jobId }) => redis.lpush(key, jobId)))

    const { data } = await ops('drain', '--timeout', '0')

    await redis.del(...queues.map(({ key }) => key))
    const commands = data.left.filter((line: { commands: number }) => line.commands === 3)
    expect(commands).toHaveLength(1001)
    expect(data.left).toHaveLength(data.lineCount)
  })

  it('shows the undecided commands of a damaged line', async () => {
    const { data } = await ops('event', String(lines.unregistered.eventId))
    expect(data).toMatchObject({
      workerProcesses: 0,
      servedBy: null,
      line: { commandsInLine: 1, undecidedOfEvent: 1 },
    })
    expect(data.line.oldestWaitedMs).toBeGreaterThan(0)
  })

  it('repairs with reconcile --apply all that does not need a person to decide', async () => {
    // The worker's first sweep finds an empty registry, and no other sweep runs during the test.
    await system.addWorker({ LINE_SWEEP_INTERVAL_MS: '600000' })

    const { exitCode, data } = await ops('reconcile', '--apply', '--settle', '3')

    const left = data.findings.filter((finding: { mended?: boolean }) => finding.mended !== true)
    expect(left.map((f: Record<string, string>) => [f['lineName'], f['kind']]).sort()).toEqual(
      [
        [lines.unreadable.lineName, 'unreadable_job'],
        [lines.paused.lineName, 'paused'],
        [lines.newer.lineName, 'newer_job'],
        [lines.newer.lineName, 'not_moving'],
      ].sort(),
    )
    expect(exitCode).toBe(1)
  })

  it('loses no command and applies none twice when the lines continue after the repair', async () => {
    const token = await system.token('ada')
    const answer = await system.api.get(lostStatusUrl, { token, headers: { prefer: 'wait=10' } })
    expect(answer.body).toMatchObject({ state: 'done', outcome: 'booked' })
    // The job was removed, or a worker found its outcomes stored and completed it.
    expect(['unknown', 'completed']).toContain(
      await lines.decided.queue.getJobState(jobs['decided'] as string),
    )
    for (const line of [
      lines.decided,
      lines.lost,
      lines.failed,
      lines.concurrent,
      lines.unregistered,
    ]) {
      const { body } = await system.api.get(`/status/${line.eventId}`)
      expect(body).toEqual({ eventId: line.eventId, availableTickets: 4, waitingListCount: 0 })
    }
    expect(await lines.concurrent.queue.getGlobalConcurrency()).toBe(1)
    expect((await ops('verify')).exitCode).toBe(0)
  })

  it('drains the lines after an operator has dealt with the remaining findings', async () => {
    await lines.paused.queue.resume()
    await lines.newer.queue.obliterate({ force: true })
    await (await lines.unreadable.queue.getJob(jobs['unreadable'] as string))?.remove()
    // Resuming a line sends no wake-up.
    expect((await ops('reconcile', '--apply', '--settle', '3')).data.ok).toBe(true)
    const run = await ops('drain', '--timeout', '20')
    expect(run).toMatchObject({ exitCode: 0, data: { ok: true, left: [] } })
  })
})

describe('the operators’ tool on accepted commands that Redis has lost', SLOW, () => {
  let line: Line
  let jobId: string
  let statusUrl: string
  const RECOVERY_LOCK = `hashtextextended('ticket-line recovery ' || current_schema(), 0)`

  beforeAll(async () => {
    await start()
    await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))
    line = await newLine()
    statusUrl = (await book(line, 'ada', 'respond-async')).body.statusUrl
    jobId = await queuedJobId(line)
    await lose()
  }, 120_000)
  afterAll(stop)

  /** Removes the job from Redis, as if it had been accepted some time ago. */
  async function lose(): Promise<void> {
    await redis.del(`${line.base}wait`, `${line.base}${jobId}`)
    await queryOnce(
      system.databaseUrl,
      `UPDATE accepted_jobs SET accepted_at = accepted_at - interval '1 minute'`,
    )
  }

  it('finds them with reconcile and with verify', async () => {
    const reconciled = await ops('reconcile', '--settle', '0.2')
    expect(reconciled.exitCode).toBe(1)
    expect(reconciled.data.findings).toContainEqual({
      kind: 'accepted_lost',
      lineName: line.lineName,
      jobId,
      acceptedNo: expect.any(Number),
      detail: 'clients were told that its 1 command will be decided, and Redis has lost the job',
      mendable: true,
    })

    const verified = await ops('verify')
    expect(verified.exitCode).toBe(1)
    const broken = verified.data.checks.filter((check: { broken: number }) => check.broken > 0)
    expect(broken).toMatchObject([{ name: 'accepted_kept', broken: 1 }])
    expect(broken[0].examples[0].detail).toBe(`${jobId} is neither decided nor in its line`)
  })

  it('shows a lost job that cannot be added again, because its record is malformed', async () => {
    const change = (payload: string) =>
      queryOnce(system.databaseUrl, `UPDATE accepted_jobs SET payload = ${payload}`)
    await change(`payload - 'commands' || jsonb_build_object('kept', payload -> 'commands')`)

    const { data } = await ops('reconcile', '--apply', '--settle', '0.2')
    const verified = await ops('verify')
    await change(`payload - 'kept' || jsonb_build_object('commands', payload -> 'kept')`)

    expect(data.findings).toContainEqual(
      expect.objectContaining({ kind: 'unreadable_record', jobId, mendable: false, mended: false }),
    )
    const broken = verified.data.checks.filter((check: { broken: number }) => check.broken > 0)
    expect(broken).toMatchObject([{ name: 'accepted_kept', broken: 1 }])
    expect(broken[0].examples[0].detail).toMatch(/, and its record is malformed$/)
  })

  it('shows their clients that they are queued', async () => {
    const token = await system.token('ada')
    const { status, body } = await system.api.get(statusUrl, { token })
    expect([status, body.state, body.ahead]).toEqual([200, 'queued', 0])
  })

  it('does not end a drain before they are decided, and does not release the layout', async () => {
    await Promise.all(system.apis.splice(0).map((api) => api.stop()))
    const left = [{ lineName: line.lineName, commands: 1 }]

    const early = await ops('drain', '--timeout', '0')

    expect(early).toMatchObject({
      exitCode: 1,
      data: { ok: false, apiProcesses: 0, layoutReleased: false, left },
    })
    await system.addApi()
  })

  it('adds them again with reconcile --apply', async () => {
    const { data } = await ops('reconcile', '--apply', '--settle', '0.2')
    const lost = data.findings.find(({ kind }: { kind: string }) => kind === 'accepted_lost')
    expect(lost).toMatchObject({ mended: true, done: 'it was added again at the end of its line' })
    expect(await queuedJobId(line)).toBe(jobId)
    expect(await redis.hget(`${line.base}depth`, String(line.eventId))).toBe('1')
    expect((await ops('verify')).exitCode).toBe(0)
  })

  it('ends a drain once a worker has added and decided them', async () => {
    await lose()
    const draining = ops('drain', '--timeout', '60')
    await system.addWorker()

    expect(await draining).toMatchObject({ exitCode: 0, data: { ok: true, left: [] } })
    const { body } = await system.api.get(statusUrl, { token: await system.token('ada') })
    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
  })

  it('says with status that clients get 503 while nobody can add them again', async () => {
    const recovering = new pg.Client({ connectionString: system.databaseUrl })
    await recovering.connect()
    recovering.on('error', () => undefined)
    await recovering.query(`SELECT pg_advisory_lock(${RECOVERY_LOCK})`)
    await redis.del(`${system.keyPrefix}{s0}:ready`)
    const isUnsure = async () => (await system.api.get('/readyz')).status === 503
    expect(await until(isUnsure, { timeoutMs: 20_000 })).toBe(true)
    expect(await book(line, 'bob')).toMatchObject({ status: 503, body: { code: 'unavailable' } })

    const status = await ops('status')

    expect(status.exitCode).toBe(1)
    expect(status.data.attention).toEqual([
      'Redis may have lost accepted commands, and clients get 503 until a process has added them again',
    ])
    await recovering.end()
    const isSure = async () => (await system.api.get('/readyz')).status === 200
    expect(await until(isSure, { timeoutMs: 20_000 })).toBe(true)
    expect((await book(line, 'bob')).status).toBe(200)
    expect((await ops('status')).exitCode).toBe(0)
  })
})
