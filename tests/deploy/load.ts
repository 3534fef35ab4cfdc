/** Load on a running Compose stack, for `kill.ts` and `scale.ts`. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { signToken } from '../stack/client.ts'
import { outputOf } from '../stack/output.ts'

const baseUrl = process.env['BASE_URL'] ?? 'http://127.0.0.1:8080'
const secret = process.env['JWT_SECRET'] ?? ''
const compose = (process.env['COMPOSE'] ?? 'docker compose').split(' ')

const CLIENTS = Number(process.env['CLIENTS'] ?? 24)
const EVENTS = 8
const TICKETS = 100
/** The pause of a client between two requests. The load is not for measuring. */
const PAUSE_MS = 20

export interface Load {
  /** How often each request got each status, as `POST /book 200`, or failed without a response. */
  statuses: Map<string, number>
  /** How long each response took, in ms. */
  latenciesMs: number[]
  /** When each kind of 5xx came. The keys name the request, the status and who responded. */
  faults: Map<string, Date[]>
  /** The paths of the jobs that were answered with 200 or 202, each with the token of its user. */
  acknowledged: Map<string, string>
  /** Resolves when every client has stopped. */
  stop(): Promise<void>
}

/** Creates events, and starts clients that book, cancel and read. */
export async function startLoad(): Promise<Load> {
  const firstEvent = 1 + Math.floor(Math.random() * 1_000_000_000)
  const statuses = new Map<string, number>()
  const latenciesMs: number[] = []
  const acknowledged = new Map<string, string>()
  const faults = new Map<string, Date[]>()
  let stopped = false

  function count(what: string): void {
    statuses.set(what, (statuses.get(what) ?? 0) + 1)
  }

  async function request(method: string, path: string, token: string, body?: unknown) {
    const startedAt = performance.now()
    const name = `${method} ${path.replace(/\d+/g, ':id')}`
    try {
      const response = await send(method, path, token, body)
      const text = await response.text()
      count(`${name} ${response.status}`)
      if (response.status >= 500) {
        const fault = `${name} ${response.status} ${responderOf(text)}`
        faults.set(fault, [...(faults.get(fault) ?? []), new Date()])
      }
      latenciesMs.push(performance.now() - startedAt)
      const job = response.headers.get('location')
      if (response.ok && job !== null) acknowledged.set(job, token)
      return response.status
    } catch (error) {
      count(`${name} ${(error as Error).cause ?? error}`)
      return undefined
    }
  }

  async function client(index: number): Promise<void> {
    for (let turn = 0; !stopped; turn++) {
      const token = await tokenOf(`client-${index}-${turn % 40}`)
      const eventId = firstEvent + ((index + turn) % EVENTS)
      await request('POST', turn % 3 === 2 ? '/cancel' : '/book', token, { eventId })
      if (turn % 10 === 0) await request('GET', `/status/${eventId}`, token)
      await sleep(PAUSE_MS)
    }
  }

  for (let i = 0; i < EVENTS; i++) await createEvent(firstEvent + i, TICKETS)
  const clients = Array.from({ length: CLIENTS }, (_, index) => client(index))
  return {
    statuses,
    latenciesMs,
    faults,
    acknowledged,
    async stop() {
      stopped = true
      await Promise.all(clients)
    },
  }
}

/** @returns the `code` of a problem document. nginx sends a page of its own instead. */
function responderOf(body: string): string {
  try {
    return JSON.parse(body).code
  } catch {
    return 'of nginx'
  }
}

/** Sends a request to the stack. @param body becomes JSON */
export function send(
  method: string,
  path: string,
  token: string,
  body?: unknown,
): Promise<Response> {
  return fetch(`${baseUrl}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
}

export function tokenOf(userId: string, role: 'user' | 'organizer' = 'user'): Promise<string> {
  return signToken(userId, role, { secret })
}

export async function createEvent(eventId: number, totalTickets: number): Promise<void> {
  const token = await tokenOf('deploy-test', 'organizer')
  const { status } = await send('POST', '/initialize', token, { eventId, totalTickets })
  if (status !== 201)
    throw new Error(`/initialize answered ${status}: is the stack up at ${baseUrl}?`)
}

/** Runs a command of Compose until it ends. */
export function runCompose(args: string[]): Promise<{ code: number | null; stdout: string }> {
  return run([...compose, ...args])
}

/** Runs a command until it ends. What it prints to stderr is shown. */
export function run([command = '', ...args]: string[]): Promise<{
  code: number | null
  stdout: string
}> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const stdout = outputOf(child)
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout: stdout() }))
  })
}

/** Runs a command of the operators' tool in a container. @returns its report */
// biome-ignore lint/suspicious/noExplicitAny: reports have many shapes
export async function runOps(...args: string[]): Promise<any> {
  const { stdout } = await runCompose(['run', '--rm', 'ops', ...args, '--json'])
  return JSON.parse(stdout.slice(stdout.indexOf('{')) || '{}')
}

/** Prints what the clients saw. @returns how many requests got each status that is not allowed */
export function report(
  { statuses, latenciesMs, faults }: Load,
  allowed: RegExp,
): [string, number][] {
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const quantile = (q: number) => (sorted[Math.floor(q * (sorted.length - 1))] ?? 0).toFixed(0)
  console.log(Object.fromEntries([...statuses].sort()))
  for (const [fault, times] of faults)
    console.log(
      `${times.length} × ${fault}, ${times[0]?.toISOString()} to ${times.at(-1)?.toISOString()}`,
    )
  console.log(
    `${sorted.length} answers, p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, slowest ${quantile(1)} ms`,
  )
  return [...statuses].filter(([what]) => !allowed.test(what))
}
