import type { Redis } from 'ioredis'
import { withDeadline } from './deadline.js'
import { every, type Loop } from './every.js'
import { wasRefused } from './redis.js'

/**
 * What a probe learned about a server:
 *
 * - `works`: it did what it was asked, after `tookMs`.
 * - `refused`: it replied that it does not accept writes, or that this user may not write.
 * - `silent`: it did not reply in time, or could not be reached.
 */
export type ProbeResult = { kind: 'works'; tookMs: number } | { kind: 'refused' | 'silent' }

/**
 * Asks a server whether it works.
 *
 * @param ask sends a request that changes nothing
 * @param timeoutMs how long to wait for the reply, ms. The request itself is not canceled
 */
export async function probe(ask: () => Promise<unknown>, timeoutMs: number): Promise<ProbeResult> {
  const startedAtMs = performance.now()
  const asked = ask().then(
    (): ProbeResult => ({ kind: 'works', tookMs: performance.now() - startedAtMs }),
    (error: unknown): ProbeResult => ({ kind: wasRefused(error) ? 'refused' : 'silent' }),
  )
  return withDeadline(asked, timeoutMs, () => ({ kind: 'silent' }))
}

/**
 * Asks whether Redis accepts writes, without writing. Redis refuses the command for the same
 * reasons as any other write: it is a replica, its disk is full or broken, it has too few replicas,
 * or it has reached `maxmemory`. The command changes nothing, because it would only overwrite a key
 * that never exists. A call that is made while another one is unanswered shares its reply.
 *
 * @param prefix a prefix of keys that this installation may use
 * @returns a function that asks. It rejects with the error reply of Redis, or with the error of the
 * connection
 */
export function createWriteProbe(redis: Redis, prefix: string): () => Promise<void> {
  let asked: Promise<void> | undefined
  return () => {
    asked ??= redis
      .set(`${prefix}:probe`, '', 'XX')
      .then(() => undefined)
      .finally(() => {
        asked = undefined
      })
    return asked
  }
}

export interface ServerWatch {
  /** Sends a request that changes nothing. */
  ask: () => Promise<unknown>
  /** Pause between two probes, ms. */
  intervalMs: number
  /** How long to wait for a reply, ms. */
  timeoutMs: number
  /** Called after each probe, with the time at which it began, by the monotonic clock. */
  onResult: (result: ProbeResult, startedAtMs: number) => void
}

/**
 * Probes a server immediately, and then at intervals. It sends the next request only after the last
 * one has ended, because requests that hang would otherwise take up all connections.
 */
export function watchServer({ ask, intervalMs, timeoutMs, onResult }: ServerWatch): Loop {
  async function run(): Promise<void> {
    const startedAtMs = performance.now()
    const asked = ask()
    onResult(await probe(() => asked, timeoutMs), startedAtMs)
    await asked
  }
  // `onResult` has already got the failure.
  return every(intervalMs, run, { immediately: true, onError: () => undefined })
}
