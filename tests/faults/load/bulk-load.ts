import { Worker } from 'node:worker_threads'
import type { CommandCall } from '../history.ts'
import type { Entry } from './send-command.ts'

/** Very many requests from a thread of their own. */
export interface CrowdOrder {
  jwtSecret: string
  entries: Entry[]
  count: number
  clients: number
  /** Requests begun in a second at most; infinite sends as fast as answers come. */
  perSecond: number
  /** Requests go to this event and the `events - 1` behind it in turn. */
  firstEvent: number
  events: number
  /** Everybody books once; or this many users book and cancel in turn. */
  users: number
  cancels: boolean
  prefer?: string
  /** Reports every exchange instead of its status alone. */
  keepCalls: boolean
}

export type CrowdReport = { call: CommandCall } | { status: number }

export interface Crowd {
  sent(): number
  /** How often each status came; 0 stands for no answer. */
  statuses: Map<number, number>
  /** Every exchange, where the order was to keep them. */
  calls: CommandCall[]
  done: Promise<void>
}

export function startCrowd(order: CrowdOrder): Crowd {
  const thread = new Worker(new URL('./bulk-load-thread.ts', import.meta.url), {
    workerData: order,
  })
  const statuses = new Map<number, number>()
  const calls: CommandCall[] = []
  let sent = 0
  thread.on('message', (report: CrowdReport) => {
    sent += 1
    const status = 'call' in report ? (report.call.answer?.status ?? 0) : report.status
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    if ('call' in report) calls.push(report.call)
  })
  const done = new Promise<void>((resolve, reject) => {
    thread.once('error', reject)
    thread.once('exit', () => resolve())
  })
  return { sent: () => sent, statuses, calls, done }
}
