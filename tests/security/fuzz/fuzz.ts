import { memoryMbOf } from '../../bench/measure/proc.ts'
import { createRandom } from '../../random.ts'
import type { System } from '../../stack/system.ts'
import type { FuzzAnswer } from './answer.ts'
import { createLane, type Result } from './connection.ts'
import { createGenerator } from './generate.ts'
import type { FuzzRequest } from './request.ts'
import { createFuzzTokens } from './tokens.ts'

export interface FuzzOptions {
  requests: number
  seed: number
  lanes?: number
  onProgress?: (done: number, memoryMb: number) => void
}

export interface FuzzReport {
  requests: number
  /** Other than the documented 503. */
  unexpected5xx: number
  /** Ends of the API process. */
  crashes: number
  /** Successes of requests that had no right to one. */
  accepted: number
  /** Requests that were whole HTTP and got no answer, or none in time. */
  unanswered: number
  /** Answers by status. */
  statuses: Record<number, number>
  /** Resident memory of the API in MB, looked at evenly from the start to the end. */
  memoryMb: number[]
  /** What was wrong, the first few in words. */
  findings: string[]
}

const LANES = 32
const LOOKS = 20
const FINDINGS_KEPT = 20
const DOCUMENTED_503 = /"code":"(?:busy|unavailable|unknown)"/

/** The 503 of the contract says when to come again, and why where it has a body. */
function isDocumented({ status, head, body }: FuzzAnswer, method: string): boolean {
  const saysWhy = method === 'HEAD' ? body === '' : DOCUMENTED_503.test(body)
  return status === 503 && /\r\nretry-after: *\d/i.test(head) && saysWhy
}

/**
 * Settings under which a system is fuzzed. Limits would otherwise answer nearly all of it; and V8, which on a large machine
 * puts off collecting for longer than the fuzz lasts, has to collect, so that what grows is what is kept.
 */
export const FUZZ_ENV = {
  NODE_OPTIONS: '--max-old-space-size=192',
  RATE_LIMIT: '1000000000',
  POLL_RATE_LIMIT: '1000000000',
  LOGIN_RATE_LIMIT: '1000000000',
}

/** More than a process that has seen everything once may still grow, in MB: 50,000 requests that leak a kilobyte each pass it. */
const LEVEL_MB = 40

/**
 * Whether memory stayed where it was: the last quarter of the looks against the second, since the first is code being
 * compiled and tables being filled.
 */
export function isLevel(memoryMb: number[]): boolean {
  const quarter = Math.floor(memoryMb.length / 4)
  const middle = (part: number[]): number =>
    part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? 0
  return middle(memoryMb.slice(-quarter)) - middle(memoryMb.slice(quarter, 2 * quarter)) < LEVEL_MB
}

/** Makes the events that the requests speak of. */
export async function prepare(system: System): Promise<void> {
  const token = await system.token('olga', 'organizer')
  for (const eventId of [1, 2, 3]) {
    const { status } = await system.api.post('/initialize', { eventId, totalTickets: 9 }, { token })
    if (status !== 201) throw new Error(`event ${eventId} could not be made: ${status}`)
  }
}

/** Sends requests that only the seed decides to the first API of a system, and judges the answers. */
export async function fuzz(
  system: System,
  { requests, seed, lanes = LANES, onProgress }: FuzzOptions,
): Promise<FuzzReport> {
  const [api] = system.apis
  if (api === undefined) throw new Error('there is no API to send anything to')
  const tokens = createFuzzTokens(system.jwtSecret, 200)
  const report: FuzzReport = {
    requests: 0,
    unexpected5xx: 0,
    crashes: 0,
    accepted: 0,
    unanswered: 0,
    statuses: {},
    memoryMb: [],
    findings: [],
  }

  function judge(request: FuzzRequest, result: Result): void {
    report.requests++
    if (report.requests % Math.ceil(requests / LOOKS) === 0) look()
    if (result.kind !== 'answered') {
      report.unanswered++
      find(result.kind, request)
      return
    }
    for (const answer of result.answers) {
      const { status, body } = answer
      report.statuses[status] = (report.statuses[status] ?? 0) + 1
      if (status >= 500 && !isDocumented(answer, request.method)) {
        report.unexpected5xx++
        find(`${status} ${body.slice(0, 200)}`, request)
      }
      if (request.mustFail && status >= 200 && status < 300) {
        report.accepted++
        find(`accepted with ${status}`, request)
      }
    }
  }

  function find(what: string, { kind, bytes }: FuzzRequest): void {
    const shown = JSON.stringify(bytes.toString('latin1').slice(0, 600))
    if (report.findings.length < FINDINGS_KEPT) report.findings.push(`${what}: ${kind} ${shown}`)
  }

  function look(): void {
    const memoryMb = Math.round(memoryMbOf(api?.pid ?? 0))
    report.memoryMb.push(memoryMb)
    onProgress?.(report.requests, memoryMb)
  }

  const random = createRandom(seed)
  const port = Number(new URL(api.url).port)
  const shares = Array.from({ length: lanes }, (_, lane) => Math.floor((requests + lane) / lanes))
  await Promise.all(
    shares.map(async (share, index) => {
      const next = createGenerator(random.fork(`lane ${index}`), tokens)
      const lane = createLane(port)
      for (let left = share; left > 0 && api.running(); left--) {
        const request = next()
        judge(request, await lane.send(request))
      }
      lane.close()
    }),
  )
  if (!api.running()) report.crashes++
  return report
}
