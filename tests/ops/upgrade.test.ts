import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createClient } from '../stack/client.ts'
import { buildCommit } from '../stack/commit-build.ts'
import { queryOnce } from '../stack/databases.ts'
import { type Build, type ServiceProcess, startApi, startWorker } from '../stack/processes.ts'
import { type System, startSystem } from '../stack/system.ts'
import { commitWithoutRecords, previousCommit } from './previous-release.ts'
import { runOps } from './run-ops.ts'

const from = await previousCommit()
if (from === undefined) {
  console.log('The upgrade test is skipped: the commit to upgrade from is not in this history.')
}

describe.skipIf(from === undefined)(
  'an upgrade from the previous release',
  {
    timeout: 120_000,
  },
  () => {
    let folder: string
    let previous: Build
    beforeAll(async () => {
      folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-previous-'))
      previous = await buildCommit(from as string, folder, ['api', 'booking-worker'])
    }, 300_000)
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    /** A database with the current schema: the migration comes first. No process runs yet. */
    async function migrated(): Promise<System> {
      const system = await startSystem({ apis: 0, workers: 0 })
      onTestFinished(() => system.stop())
      return system
    }

    async function startPrevious(system: System, start: typeof startApi): Promise<ServiceProcess> {
      const service = await start(system.env, previous)
      onTestFinished(() => service.stop())
      return service
    }

    /** Sends a command of a user to one API process. @returns the message of the answer */
    const send = async (
      system: System,
      api: ServiceProcess,
      call: '/book' | '/cancel',
      userId: string,
      eventId = 1,
    ) => {
      const token = await system.token(userId)
      return (await createClient(api.url).post(call, { eventId }, { token })).body.message
    }

    /** The log of an event, such as `2 booking.confirmed`. */
    const logOf = async ({ databaseUrl }: System, eventId: number): Promise<string[]> => {
      const rows = await queryOnce(
        databaseUrl,
        `SELECT no || ' ' || type AS change FROM changes WHERE event_id = ${eventId} ORDER BY no`,
      )
      return rows.map(({ change }) => change as string)
    }

    it('serves every command while the migration, the workers and the APIs are replaced in turn', async () => {
      const system = await migrated()
      const previousApi = await startPrevious(system, startApi)
      const previousWorker = await startPrevious(system, startWorker)
      const token = await system.token('olga', 'organizer')
      const event = { eventId: 1, totalTickets: 5 }
      await createClient(previousApi.url).post('/initialize', event, { token })

      for (let i = 0; i < 5; i++)
        expect(await send(system, previousApi, '/book', `user-${i}`)).toBe('Ticket booked')
      expect(await send(system, previousApi, '/book', 'late')).toBe('Added to waiting list')
      expect(await send(system, previousApi, '/cancel', 'user-0')).toBe('Booking canceled')

      expect(await logOf(system, 1)).toEqual([])
      const worker = await system.addWorker()
      const more = Array.from({ length: 30 }, (_, i) => `more-${i}`)
      const answers = await Promise.all(
        more.map((userId) => send(system, previousApi, '/book', userId)),
      )
      expect(new Set(answers)).toEqual(new Set(['Added to waiting list']))
      await previousWorker.stop()
      expect(await send(system, previousApi, '/cancel', 'user-1')).toBe('Booking canceled')
      expect(await send(system, previousApi, '/book', 'user-1')).toBe('Added to waiting list')

      const api = await system.addApi()
      expect(await send(system, api, '/cancel', 'user-2')).toBe('Booking canceled')
      expect(await send(system, previousApi, '/cancel', 'user-3')).toBe('Booking canceled')
      await previousApi.stop()
      expect(await send(system, api, '/cancel', 'user-4')).toBe('Booking canceled')
      // The log begins with the first decision of a new worker, whichever API sent the command.
      expect((await logOf(system, 1)).slice(-2)).toEqual([
        ...[expect.stringContaining('booking.canceled'), expect.stringContaining('promoted')],
      ])

      expect(worker.running()).toBe(true)
      expect((await system.api.get('/status/1')).body).toEqual({
        eventId: 1,
        availableTickets: 0,
        waitingListCount: 27,
      })
      expect((await runOps(['verify', '--json'], system.env)).data.ok).toBe(true)
    })

    /**
     * The order of an upgrade is: migration, workers, APIs. Here the API comes too early, which
     * shows why the log has no gaps: a worker that does not write the log cannot decide jobs of
     * version 3.
     */
    it('leaves jobs of version 3 to a worker of this release', async () => {
      const system = await migrated()
      const previousApi = await startPrevious(system, startApi)
      const previousWorker = await startPrevious(system, startWorker)
      await system.addApi()
      const staff = { token: await system.token('olga', 'organizer') }
      const ada = { token: await system.token('ada') }
      await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, staff)
      await createClient(previousApi.url).post(
        '/initialize',
        { eventId: 2, totalTickets: 5 },
        staff,
      )

      const accepted = await system.api.post(
        '/book',
        { eventId: 1 },
        { ...ada, headers: { prefer: 'respond-async' } },
      )
      expect(accepted.status).toBe(202)
      const { statusUrl } = accepted.body
      await previousWorker.waitForLog(({ msg }) => msg?.includes('newer version') === true)
      // The previous worker goes on with jobs that it knows.
      expect(await send(system, previousApi, '/book', 'bob', 2)).toBe('Ticket booked')
      expect((await system.api.get(statusUrl, ada)).body.state).not.toBe('done')
      const decided = 'SELECT FROM commands WHERE event_id = 1'
      expect(await queryOnce(system.databaseUrl, decided)).toEqual([])

      await system.addWorker()
      const isDone = async () => (await system.api.get(statusUrl, ada)).body.state === 'done'
      expect(await until(isDone, { timeoutMs: 30_000 })).toBe(true)
      expect((await system.api.get(statusUrl, ada)).body).toMatchObject({
        outcome: 'booked',
        status: 200,
        body: { message: 'Ticket booked' },
      })
      await previousWorker.stop()
      expect(await logOf(system, 1)).toEqual([
        ...['1 event.created', '2 booking.confirmed', '3 event.sold_out'],
      ])
      expect(await logOf(system, 2)).toEqual([])
      expect((await runOps(['verify', '--json'], system.env)).data.ok).toBe(true)
    })
  },
)

const withoutRecords = await commitWithoutRecords()

/**
 * What a Redis that is lost means while processes of both releases run. Nothing is lost if the API
 * of this release has accepted it. Nothing is decided too early once the last previous worker has
 * stopped.
 */
describe.skipIf(withoutRecords === undefined)(
  'a Redis that is lost during an upgrade from a release that does not record accepted commands',
  { timeout: 120_000 },
  () => {
    let folder: string
    let previous: Build
    let system: System
    let redis: Redis
    beforeAll(async () => {
      folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-without-records-'))
      previous = await buildCommit(withoutRecords as string, folder, ['api', 'booking-worker'])
      system = await startSystem({ apis: 0, workers: 0 })
      redis = new Redis(system.redisUrl)
    }, 300_000)
    afterAll(async () => {
      redis?.disconnect()
      await system?.stop()
      rmSync(folder, { recursive: true, force: true })
    })

    async function startPrevious(start: typeof startApi): Promise<ServiceProcess> {
      const service = await start(system.env, previous)
      onTestFinished(() => service.stop())
      return service
    }

    /** Books without waiting. @returns the path of the job */
    async function accept(api: ServiceProcess, userId: string): Promise<string> {
      const headers = { prefer: 'respond-async' }
      const options = { token: await system.token(userId), headers }
      const answer = await createClient(api.url).post('/book', { eventId: 1 }, options)
      expect(answer.status).toBe(202)
      return answer.body.statusUrl
    }

    async function jobOf(statusUrl: string, userId: string, waitS = 0) {
      const headers = { prefer: `wait=${waitS}` }
      const { body } = await system.api.get(statusUrl, {
        token: await system.token(userId),
        headers,
      })
      return body
    }

    async function loseRedis(): Promise<void> {
      await redis.del(await redis.keys(`${system.keyPrefix}*`))
    }

    it('loses what the previous API has accepted, and nothing that the new one has', async () => {
      const previousApi = await startPrevious(startApi)
      const api = await system.addApi()
      const staff = { token: await system.token('olga', 'organizer') }
      await system.api.post('/initialize', { eventId: 1, totalTickets: 2 }, staff)
      const unrecorded = await accept(previousApi, 'ann')
      const recorded = [await accept(api, 'bob'), await accept(api, 'cem')]

      await loseRedis()
      // It does not know that accepted jobs are added again, and decides them like any other.
      const previousWorker = await startPrevious(startWorker)

      for (const [index, userId] of ['bob', 'cem'].entries())
        expect(await jobOf(recorded[index] as string, userId, 20)).toMatchObject({
          outcome: 'booked',
        })
      expect(await jobOf(unrecorded, 'ann')).toMatchObject({ code: 'job_not_found' })

      await previousWorker.stop()
      await previousApi.stop()
      const last = await accept(api, 'dan')
      await loseRedis()
      await system.addWorker()
      expect(await jobOf(last, 'dan', 20)).toMatchObject({ outcome: 'waiting' })
      expect((await runOps(['drain', '--timeout', '20', '--json'], system.env)).data.ok).toBe(true)
      expect((await runOps(['verify', '--json'], system.env)).data.ok).toBe(true)
    })
  },
)
