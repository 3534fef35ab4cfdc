import { memoryMbOf } from '../../bench/measure/proc.ts'
import { createRandom } from '../../random.ts'
import type { System } from '../../stack/system.ts'
import { createFuzzConnection, type Result } from './connection.ts'
import { createGenerator } from './generate.ts'
import type { FuzzRequest } from './request.ts'
import type { FuzzResponse } from './response.ts'
import { createFuzzTokens } from './tokens.ts'

export interface FuzzOptions {
  requests: number
  seed: number
  connections?: number
  onProgress?: (done: number, memoryMb: number) => void
}

export interface FuzzReport {
  requests: number
  /** 5xx responses except the documented 503. */
  unexpected5xx: number
  /** Times that the API process ended. */
  crashes: number
  /** Successful responses to requests that had to be refused. */
  accepted: number
  /** Complete HTTP requests without a response in time. */
  unanswered: number
  /** Streams that were opened. */
  streams: number
  /** Number of responses by status. */
  statuses: Record<number, number>
  /** Resident memory of the API in MB, sampled at even intervals from start to end. */
  memoryMb: number[]
  /** Descriptions of the first FINDINGS_KEPT faults. */
  findings: string[]
}

const CONNECTIONS = 32
const MEMORY_SAMPLES = 20
const FINDINGS_KEPT = 20
const DOCUMENTED_503 = /"code":"(?:busy|unavailable|unknown)"/

/** The 503 of the contract carries `Retry-After`, and a known code if it has a body. */
function isDocumented({ status, head, body }: FuzzResponse, method: string): boolean {
  const hasKnownCode = method === 'HEAD' ? body === '' : DOCUMENTED_503.test(body)
  return status === 503 && /\r\nretry-after: *\d/i.test(head) && hasKnownCode
}

/**
 * Settings of the system under test. With the usual rate limits nearly all requests would get 429.
 * The small heap makes V8 collect garbage during the run, so that growth shows retained memory. On
 * a large machine V8 would put off collection until after the run.
 */
export const FUZZ_ENV = {
  NODE_OPTIONS: '--max-old-space-size=192',
  RATE_LIMIT: '1000000000',
  POLL_RATE_LIMIT: '1000000000',
  LOGIN_RATE_LIMIT: '1000000000',
  MAX_STREAMS_PER_ADDRESS: '10000',
}

/** Growth in MB that counts as a leak: 50,000 requests that leak a kilobyte each exceed it. */
const MAX_GROWTH_MB = 40

/**
 * Whether memory stayed level. Compares the last quarter of the samples with the second: during the
 * first one, V8 still compiles code and caches fill up.
 */
export function isMemoryLevel(memoryMb: number[]): boolean {
  const quarter = Math.floor(memoryMb.length / 4)
  const middle = (part: number[]): number =>
    part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0
  return (
    middle(memoryMb.slice(-quarter)) - middle(memoryMb.slice(quarter, 2 * quarter)) < MAX_GROWTH_MB
  )
}

/** Creates the events that the requests name. */
export async function createEvents(system: System): Promise<void> {
  const token = await system.token('olga', 'organizer')
  for (const eventId of [1, 2, 3]) {
    const { status } = await system.api.post('/initialize', { eventId, totalTickets: 9 }, { token })
    if (status !== 201) throw new Error(`event ${eventId} could not be created: ${status}`)
  }
}

/** Sends requests generated from the seed to the first API of a system and checks the responses. */
export async function fuzz(
  system: System,
  { requests, seed, connections = CONNECTIONS, onProgress }: FuzzOptions,
): Promise<FuzzReport> {
  const [api] = system.apis
  if (api === undefined) throw new Error('the system has no API')
  const tokens = createFuzzTokens(system.jwtSecret, 200)
  const report: FuzzReport = {
    requests: 0,
    unexpected5xx: 0,
    crashes: 0,
    accepted: 0,
    unanswered: 0,
    streams: 0,
    statuses: {},
    memoryMb: [],
    findings: [],
  }

  function check(request: FuzzRequest, result: Result): void {
    report.requests++
    if (report.requests % Math.ceil(requests / MEMORY_SAMPLES) === 0) sampleMemory()
    if (result.kind !== 'answered') {
      report.unanswered++
      addFinding(result.kind, request)
      return
    }
    for (const response of result.responses) {
      const { status, body, isStream } = response
      if (isStream) report.streams++
      report.statuses[status] = (report.statuses[status] ?? 0) + 1
      if (status >= 500 && !isDocumented(response, request.method)) {
        report.unexpected5xx++
        addFinding(`${status} ${body.slice(0, 200)}`, request)
      }
      if (request.mustFail && status >= 200 && status < 300) {
        report.accepted++
        addFinding(`accepted with ${status}`, request)
      }
    }
  }

  function addFinding(what: string, { kind, bytes }: FuzzRequest): void {
    const shown = JSON.stringify(bytes.toString('latin1').slice(0, 600))
    if (report.findings.length < FINDINGS_KEPT) report.findings.push(`${what}: ${kind} ${shown}`)
  }

  function sampleMemory(): void {
    const memoryMb = Math.round(memoryMbOf(api?.pid ?? 0))
    report.memoryMb.push(memoryMb)
    onProgress?.(report.requests, memoryMb)
  }

  const random = createRandom(seed)
  const port = Number(new URL(api.url).port)
  const shares = Array.from({ length: connections }, (_, index) =>
    Math.floor((requests + index) / connections),
  )
  await Promise.all(
    shares.map(async (share, index) => {
      const next = createGenerator(random.fork(`lane ${index}`), tokens)
      const connection = createFuzzConnection(port)
      for (let left = share; left > 0 && api.running(); left--) {
        const request = next()
        check(request, await connection.send(request))
      }
      connection.close()
    }),
  )
  if (!api.running()) report.crashes++
  return report
}
