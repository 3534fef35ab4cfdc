import { until } from '../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../stack/databases.ts'
import { withRedis } from '../stack/redis/connection.ts'
import type { Evidence } from './check/check.ts'
import { type LineJournal, readJournal } from './check/journal.ts'
import { readRows } from './check/rows.ts'
import { type Fleet, type FleetOptions, startFleet } from './fleet/fleet.ts'
import { createHistory, type EventSettings, type History } from './history.ts'
import { readFinalState } from './load/final-reads.ts'
import { createHttpClient, type HttpClient } from './load/http-client.ts'
import { configureOf, type Endpoint, STAFF, sendCommand } from './load/send-command.ts'

/** A running system, a client for it and a history of requests. Every run and scenario uses one. */
export interface Testbed {
  fleet: Fleet
  client: HttpClient
  history: History
  /** The API processes. */
  endpoints: [Endpoint, ...Endpoint[]]
  /** @param settings with them, events get commands of staff and holds */
  createEvent(eventId: number, totalTickets: number, settings?: EventSettings): Promise<void>
  /**
   * Waits until every process is ready, every line is empty and no hold is left, reads everything
   * that was promised, and collects the evidence for the checker.
   * @param moved the Redis that is in use now, if it is not the fleet's
   */
  collectEvidence(moved?: { redisUrls: string[]; redisFolders: string[] }): Promise<Evidence>
  close(): Promise<void>
}

/** How long the system may take to decide everything that it accepted, once all faults are over. */
const SETTLE_WITHIN_MS = 60_000

export async function openTestbed(options: FleetOptions = {}): Promise<Testbed> {
  const fleet = await startFleet(options)
  const client = createHttpClient(fleet.jwtSecret)
  const history = createHistory()
  const endpoints = fleet.apis.map(({ name, url }) => ({ name, url })) as [Endpoint, ...Endpoint[]]
  const close = async (): Promise<void> => {
    await client.close()
    await fleet.close()
  }
  try {
    await fleet.ready()
  } catch (error) {
    await close()
    throw error
  }
  return {
    fleet,
    client,
    history,
    endpoints,
    async createEvent(eventId, totalTickets, settings) {
      const { answer } = await client.send(endpoints[0].url, {
        method: 'POST',
        path: settings === undefined ? '/initialize' : '/events',
        token: await client.token(STAFF, 'organizer'),
        body: { eventId, totalTickets, ...settings },
        timeoutMs: 10_000,
      })
      if (answer?.status !== 201)
        throw new Error(`event ${eventId} was not created: ${JSON.stringify(answer)}`)
      history.events.push({ eventId, totalTickets, ...(settings !== undefined && { settings }) })
    },
    async collectEvidence(moved) {
      await endFaults(fleet)
      const redisUrls = moved?.redisUrls ?? (await fleet.redisUrls())
      const redisFolders = moved?.redisFolders ?? fleet.journalFolders()
      for (const { eventId, settings } of history.events)
        if (settings !== undefined) await endHolds({ client, history }, endpoints[0], eventId)
      await settle(fleet, redisUrls)
      await readFinalState(client, endpoints, history)
      return {
        history,
        journal: await readLines(fleet, redisUrls, redisFolders),
        rows: await readRows(fleet.postgres.url),
        losses: fleet.losses,
      }
    },
    close,
  }
}

async function endFaults(fleet: Fleet): Promise<void> {
  for (const slot of fleet.slots) {
    slot.redisLink.restore()
    slot.postgresLink.restore()
    slot.stepClock(0)
  }
  await fleet.ready(SETTLE_WITHIN_MS)
}

/**
 * From now on the event gives out bookings, so that it has no hold when the last one has lapsed or
 * was confirmed. A hold that lapsed between two reads of the evidence would look like a fault.
 */
async function endHolds(
  bed: Pick<Testbed, 'client' | 'history'>,
  endpoint: Endpoint,
  eventId: number,
): Promise<void> {
  const ended: EventSettings = { holdSeconds: null, offerSeconds: null, promotion: 'on' }
  const command = configureOf(eventId, { ...ended, sales: 'open' })
  const isAnswered = async (): Promise<boolean> => {
    const { answer } = await sendCommand(bed, endpoint, command)
    return answer?.status === 200 || answer?.body?.code === 'event_canceled'
  }
  await until(isAnswered, { timeoutMs: SETTLE_WITHIN_MS })
}

/** Does not fail if a line stays full or a hold is overdue: the checker reports that. */
async function settle(fleet: Fleet, redisUrls: string[]): Promise<void> {
  const isMissing = async (text: string): Promise<boolean> =>
    (await queryOnce(fleet.postgres.url, text)).length === 0
  const options = { timeoutMs: SETTLE_WITHIN_MS, everyMs: 200 }
  await until(() => isMissing('SELECT FROM events WHERE due_at IS NOT NULL LIMIT 1'), options)
  await until(() => isMissing(UNDECIDED), options)
  await until(async () => (await readLeftJobs(redisUrls)).size === 0, options)
}

/** The accepted jobs whose last command has no outcome. */
const UNDECIDED = `SELECT FROM accepted_jobs WHERE NOT EXISTS (SELECT FROM commands
  WHERE command_id = job_id || '.' || (split_part(job_id, '.', 3)::int - 1)) LIMIT 1`

/** @returns the jobs that are queued or active, by the name of their line */
async function readLeftJobs(redisUrls: string[]): Promise<Map<string, string[]>> {
  const left = new Map<string, string[]>()
  for (const redisUrl of redisUrls)
    await withRedis(redisUrl, async (redis) => {
      for (const key of [...(await redis.keys('*:wait')), ...(await redis.keys('*:active'))]) {
        const jobIds = await redis.lrange(key, 0, -1)
        const lineName = key.split(':').at(-2) ?? ''
        if (jobIds.length > 0) left.set(lineName, [...(left.get(lineName) ?? []), ...jobIds])
      }
    })
  return left
}

/** Reads what entered the lines. After a loss, only Redis itself knows which jobs are left. */
async function readLines(
  { losses }: Fleet,
  redisUrls: string[],
  redisFolders: string[],
): Promise<Map<string, LineJournal>> {
  const journal = await readJournal(redisFolders)
  if (losses.length === 0) return journal
  const left = await readLeftJobs(redisUrls)
  for (const line of journal.values()) line.leftJobs = left.get(line.lineName) ?? []
  return journal
}
