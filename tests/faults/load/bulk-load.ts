import { Worker } from 'node:worker_threads'
import type { CommandCall } from '../history.ts'
import type { Endpoint } from './send-command.ts'

/** A very large number of requests, sent by a thread of its own. */
export interface BulkLoadOptions {
  jwtSecret: string
  endpoints: Endpoint[]
  count: number
  clients: number
  /** Maximum number of requests started in a second. If infinite, clients wait only for answers. */
  perSecond: number
  /** Requests go in turn to this event and the `events - 1` events after it. */
  firstEvent: number
  events: number
  /**
   * If `cancels` is set, this many users book and cancel in turn. Otherwise each request has a new
   * user.
   */
  users: number
  cancels: boolean
  prefer?: string
  /** Whether to collect whole calls instead of statuses only. */
  keepCalls: boolean
}

export type BulkLoadMessage = { call: CommandCall } | { status: number }

export interface BulkLoad {
  sent(): number
  /** Number of answers by status. 0 counts requests without an answer. */
  statuses: Map<number, number>
  /** All calls, if `keepCalls` is set. */
  calls: CommandCall[]
  done: Promise<void>
}

export function startBulkLoad(options: BulkLoadOptions): BulkLoad {
  const thread = new Worker(new URL('./bulk-load-thread.ts', import.meta.url), {
    workerData: options,
  })
  const statuses = new Map<number, number>()
  const calls: CommandCall[] = []
  let sent = 0
  thread.on('message', (message: BulkLoadMessage) => {
    sent += 1
    const status = 'call' in message ? (message.call.answer?.status ?? 0) : message.status
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    if ('call' in message) calls.push(message.call)
  })
  const done = new Promise<void>((resolve, reject) => {
    thread.once('error', reject)
    thread.once('exit', () => resolve())
  })
  return { sent: () => sent, statuses, calls, done }
}
