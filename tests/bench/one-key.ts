/** A shop that books for its users with one API key, with the limits of a new installation. */
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { callerOfKey } from '@ticket-line/shared'
import pg from 'pg'
import { createClient, signToken } from '../stack/client.ts'
import type { Servers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import type { WorkloadSettings } from './workloads.ts'

const USERS = 10_000
const EVENTS = 10
const OWNER = 'olga'
const CONNECTIONS = 64
/** Each user books 10 events, which is within the general limit of a user. */
const LIMITS = { RATE_LIMIT: '100', RATE_WINDOW_MS: '900000', KEY_RATE_LIMIT_MAX: '60000' }
/** How often the shop sends a request at most that is refused with 429. */
const MAX_ATTEMPTS = 10

interface Answer {
  status: number
  text: string
  retryAfterS: number
}

/** @returns whether every user has a ticket for every event, and the key is the actor of each */
export async function measureOneKey(
  servers: Servers,
  { connections = CONNECTIONS, productEnv }: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const system = await startSystem({
    servers,
    env: { NODE_ENV: 'production', ...LIMITS, ...productEnv },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  try {
    const url = system.apis[0]?.url ?? ''
    const api = createClient(url)
    const token = await signToken(OWNER, 'organizer', { secret: system.jwtSecret })
    const eventIds = Array.from({ length: EVENTS }, (_, i) => i + 1)
    for (const eventId of eventIds)
      await api.post('/initialize', { eventId, totalTickets: USERS }, { token })
    const rateLimit = { requests: 60_000, windowSeconds: 60 }
    const made = await api.post(
      '/api-keys',
      { name: 'Shop', scopes: ['bookings:write'], rateLimit },
      { token },
    )
    const { id, key } = made.body
    const answers = new Map<string, number>()
    let limited = 0
    let next = 0
    const startedAt = performance.now()

    async function sendAll(): Promise<void> {
      while (next < USERS * EVENTS) {
        const n = next++
        const body = JSON.stringify({
          eventId: 1 + (n % EVENTS),
          userId: `user-${Math.floor(n / EVENTS)}`,
        })
        for (let attempt = 1; ; attempt++) {
          const { status, text, retryAfterS } = await post(agent, `${url}/book`, key, body)
          if (status === 429 && attempt < MAX_ATTEMPTS) {
            limited++
            await sleep(retryAfterS * 1000)
            continue
          }
          const kind = `${status} ${text}`
          answers.set(kind, (answers.get(kind) ?? 0) + 1)
          break
        }
      }
    }
    await Promise.all(Array.from({ length: connections }, sendAll))
    const seconds = (performance.now() - startedAt) / 1000
    for (const [kind, count] of answers) say(`  ${count} × ${kind}`)
    say(
      `  ${seconds.toFixed(1)} s, ${Math.round((USERS * EVENTS) / seconds)}/s, ${limited} × 429 and sent again`,
    )
    const faults = await findFaults(system.databaseUrl, id)
    for (const fault of faults) say(`  ${fault}`)
    return faults.length === 0 && answers.get('200 {"message":"Ticket booked"}') === USERS * EVENTS
  } finally {
    agent.destroy()
    await system.stop()
  }
}

function post(agent: Agent, url: string, key: string, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('error', reject).on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          retryAfterS: Number(response.headers['retry-after'] ?? 1),
        }),
      )
    })
    sent.on('error', reject).end(body)
  })
}

/** Finds users without their tickets, and bookings of which the key is not the actor. */
async function findFaults(databaseUrl: string, keyId: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ bookings: number; users: number; changes: number }>(
      `SELECT (SELECT count(*)::int FROM bookings WHERE status = 'confirmed') AS bookings,
         (SELECT count(DISTINCT user_id)::int FROM bookings) AS users,
         (SELECT count(*)::int FROM changes WHERE type = 'booking.confirmed' AND actor = $1) AS changes`,
      [callerOfKey(keyId)],
    )
    const { bookings = 0, users = 0, changes = 0 } = rows[0] ?? {}
    const all = USERS * EVENTS
    return [
      ...(bookings === all ? [] : [`${bookings} bookings instead of ${all}`]),
      ...(users === USERS ? [] : [`${users} users instead of ${USERS}`]),
      ...(changes === all ? [] : [`${changes} changes of the key instead of ${all}`]),
    ]
  } finally {
    await client.end()
  }
}
