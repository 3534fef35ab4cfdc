/**
 * Scales a running Compose stack up and down under load and checks that no request is answered 5xx,
 * no connection is refused and no promise is broken. Start the stack with `docker compose up` and a
 * high RATE_LIMIT, then run
 *
 *     BASE_URL=http://127.0.0.1:8080 JWT_SECRET=… node tests/deploy/scale.ts
 *
 * `COMPOSE` is the command with its options (default `docker compose`).
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { signToken } from '../stack/client.ts'

const baseUrl = process.env['BASE_URL'] ?? 'http://127.0.0.1:8080'
const secret = process.env['JWT_SECRET'] ?? ''
const compose = (process.env['COMPOSE'] ?? 'docker compose').split(' ')

const CLIENTS = Number(process.env['CLIENTS'] ?? 24)
const EVENTS = 8
const TICKETS = 100
/** The pause of a client between two requests. The load is not for measuring. */
const PAUSE_MS = 20
const STEPS: [service: string, containers: number][] = [
  ['booking-worker', 4],
  ['api', 2],
  ['booking-worker', 1],
  ['api', 1],
]
/** How long the load continues after each step. */
const SETTLE_MS = 8000

const firstEvent = 1 + Math.floor(Math.random() * 1_000_000_000)
const statuses = new Map<string, number>()
const slow: number[] = []
let stopped = false

function count(what: string): void {
  statuses.set(what, (statuses.get(what) ?? 0) + 1)
}

async function ask(
  method: string,
  path: string,
  token: string,
  body?: unknown,
): Promise<Response | undefined> {
  const startedAt = performance.now()
  try {
    const init: RequestInit = { method, headers: { authorization: `Bearer ${token}` } }
    if (body !== undefined) {
      init.body = JSON.stringify(body)
      init.headers = { ...init.headers, 'content-type': 'application/json' }
    }
    const response = await fetch(`${baseUrl}${path}`, init)
    await response.arrayBuffer()
    count(`${method} ${path.replace(/\d+/g, ':id')} ${response.status}`)
    slow.push(performance.now() - startedAt)
    return response
  } catch (error) {
    count(`${method} ${path.replace(/\d+/g, ':id')} ${(error as Error).cause ?? error}`)
    return undefined
  }
}

async function client(index: number): Promise<void> {
  for (let turn = 0; !stopped; turn++) {
    const userId = `client-${index}-${turn % 40}`
    const token = await signToken(userId, 'user', { secret })
    const eventId = firstEvent + ((index + turn) % EVENTS)
    await ask('POST', turn % 3 === 2 ? '/cancel' : '/book', token, { eventId })
    if (turn % 10 === 0) await ask('GET', `/status/${eventId}`, token)
    await sleep(PAUSE_MS)
  }
}

function run(args: string[]): Promise<{ code: number | null; stdout: string }> {
  const [command = 'docker', ...before] = compose
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...before, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout }))
  })
}

const scaled = new Map([
  ['booking-worker', 1],
  ['api', 1],
])

/** Compose resets every number that is not given again, so all of them are given each time. */
async function scale(service: string, containers: number): Promise<void> {
  scaled.set(service, containers)
  const numbers = [...scaled].flatMap(([name, number]) => ['--scale', `${name}=${number}`])
  const { code } = await run([
    'up',
    '--detach',
    '--no-recreate',
    ...numbers,
    'api',
    'booking-worker',
  ])
  if (code !== 0) throw new Error(`scaling ${service} to ${containers} ended with ${code}`)
}

const organizer = await signToken('deploy-test', 'organizer', { secret })
for (let i = 0; i < EVENTS; i++) {
  const made = await ask('POST', '/initialize', organizer, {
    eventId: firstEvent + i,
    totalTickets: TICKETS,
  })
  if (made?.status !== 201)
    throw new Error(`/initialize answered ${made?.status}: is the stack up at ${baseUrl}?`)
}
const clients = Array.from({ length: CLIENTS }, (_, index) => client(index))
await sleep(SETTLE_MS / 2)
for (const [service, containers] of STEPS) {
  console.log(`${service} → ${containers}`)
  await scale(service, containers)
  await sleep(SETTLE_MS)
}
stopped = true
await Promise.all(clients)

const verified = await run(['run', '--rm', 'ops', 'verify', '--json'])
const report = JSON.parse(verified.stdout.slice(verified.stdout.indexOf('{')) || '{}')
slow.sort((a, b) => a - b)
const quantile = (q: number): string => (slow[Math.floor(q * (slow.length - 1))] ?? 0).toFixed(0)
const bad = [...statuses].filter(([what]) => !/ (2\d\d|404|409)$/.test(what))
console.log(Object.fromEntries([...statuses].sort()))
console.log(
  `${slow.length} answers, p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, slowest ${quantile(1)} ms`,
)
console.log(
  `${bad.length === 0 ? 'No' : 'SOME'} failures, promises ${report.ok ? 'kept' : 'BROKEN'}`,
)
process.exit(bad.length === 0 && report.ok === true ? 0 : 1)
