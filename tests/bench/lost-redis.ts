/** Measures how soon accepted commands are decided after Redis has lost everything. */
import { commandIdOf, type JobPayload } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import pg from 'pg'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createClient, signToken } from '../stack/client.ts'
import type { Servers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import { short } from './report/text.ts'
import type { WorkloadSettings } from './workloads.ts'

const EVENTS = 100
const COMMANDS = 10_000
const CONNECTIONS = 64
const TICKETS = 50
const ROUNDS = 3
/** From the start of a worker until everything is decided, ms. */
const AIM_MS = 15_000
const DECIDED_WITHIN_MS = 120_000

/** @returns whether the aim is reached in each round, and everything is decided in order */
export async function measureLostRedis(
  servers: Servers,
  { connections = CONNECTIONS, productEnv }: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  let isReached = true
  for (let round = 1; round <= ROUNDS; round++) {
    const { tookMs, wrong } = await measureOnce(servers, connections, productEnv)
    isReached &&= tookMs <= AIM_MS && wrong.length === 0
    say(
      `  ${round} decided ${COMMANDS} commands in ${EVENTS} lines ${short(tookMs)} ms after the start of a worker, ` +
        (wrong.length === 0 ? 'all in order' : `wrong: ${wrong.slice(0, 5).join('; ')}`),
    )
  }
  say(`aim ≤ ${AIM_MS} ms: ${isReached ? 'reached' : 'NOT reached'}`)
  return isReached
}

async function measureOnce(
  servers: Servers,
  connections: number,
  productEnv: Record<string, string> | undefined,
): Promise<{ tookMs: number; wrong: string[] }> {
  const system = await startSystem({
    servers,
    workers: 0,
    env: { NODE_ENV: 'production', ...productEnv },
  })
  const client = new pg.Client({ connectionString: system.databaseUrl })
  client.on('error', () => undefined)
  const redis = new Redis(system.redisUrl)
  try {
    await client.connect()
    const api = createClient(system.apis[0]?.url ?? '')
    const organizer = await signToken('olga', 'organizer', { secret: system.jwtSecret })
    for (let eventId = 1; eventId <= EVENTS; eventId++)
      await api.post('/initialize', { eventId, totalTickets: TICKETS }, { token: organizer })
    const admin = await signToken('root', 'admin', { secret: system.jwtSecret })
    let next = 0
    async function sendAll(): Promise<void> {
      while (next < COMMANDS) {
        const n = next++
        const body = { eventId: 1 + (n % EVENTS), userId: `user-${n}` }
        const { status } = await api.post('/book', body, {
          token: admin,
          headers: { Prefer: 'respond-async' },
        })
        if (status !== 202) throw new Error(`a command was answered ${status}`)
      }
    }
    await Promise.all(Array.from({ length: connections }, sendAll))
    const accepted = await acceptedByLine(client)

    await redis.flushall()
    const startedAt = performance.now()
    await system.addWorker({ NODE_ENV: 'production', ...productEnv })
    const isDecided = async () => {
      const { rows } = await client.query('SELECT count(*)::int AS decided FROM commands')
      return rows[0].decided === COMMANDS
    }
    const isComplete = await until(isDecided, { timeoutMs: DECIDED_WITHIN_MS, everyMs: 50 })
    const tookMs = performance.now() - startedAt
    if (!isComplete) return { tookMs, wrong: ['commands are not decided'] }
    return { tookMs, wrong: await findDisorder(client, accepted) }
  } finally {
    redis.disconnect()
    await client.end()
    await system.stop()
  }
}

/** The ids of the commands of each line, in order of acceptance. */
async function acceptedByLine(client: pg.Client): Promise<Map<string, string[]>> {
  const { rows } = await client.query<{ job_id: string; line_name: string; payload: JobPayload }>(
    'SELECT job_id, line_name, payload FROM accepted_jobs ORDER BY accepted_no',
  )
  const byLine = new Map<string, string[]>()
  for (const { job_id, line_name, payload } of rows) {
    const ids = payload.commands.map((_, index) => commandIdOf(job_id, index))
    byLine.set(line_name, [...(byLine.get(line_name) ?? []), ...ids])
  }
  const count = [...byLine.values()].reduce((sum, ids) => sum + ids.length, 0)
  if (count !== COMMANDS) throw new Error(`${count} commands are recorded`)
  return byLine
}

/** The lines whose commands were not decided in order of acceptance. */
async function findDisorder(client: pg.Client, accepted: Map<string, string[]>): Promise<string[]> {
  const { rows } = await client.query<{ event_id: string; command_id: string }>(
    `SELECT c.event_id, c.command_id FROM commands c JOIN changes l USING (command_id)
      WHERE l.type IN ('booking.confirmed', 'waitlist.joined') ORDER BY c.event_id, l.no`,
  )
  const decided = Map.groupBy(rows, (row) => `event-${row.event_id}`)
  return [...accepted].flatMap(([lineName, ids]) => {
    const found = decided.get(lineName)?.map((row) => row.command_id) ?? []
    const isInOrder = found.length === ids.length && found.every((id, i) => id === ids[i])
    return isInOrder ? [] : [`the order of ${lineName}`]
  })
}
