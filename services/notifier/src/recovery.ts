import { type CursorKey, type Pool, releaseCursors } from '@ticket-line/db'
import type { Clock, Log } from '@ticket-line/shared'
import type { Endpoint } from './endpoints.js'

/**
 * How often the cursors of one endpoint are made due, ms. If an endpoint fails for one event and
 * answers for the others, each success would otherwise repeat the failing request.
 */
const RELEASE_EVERY_MS = 5000

export interface RecoveryDeps {
  pool: Pool
  hurryDeliveries: (keys: readonly CursorKey[]) => Promise<void>
  clock: Clock
  log: Log
}

/** Makes all cursors of an endpoint due when it answers again. */
export interface Recovery {
  failed(webhookId: string): void
  /** Called after each success. Does nothing if the endpoint was not failing. */
  succeeded(endpoint: Pick<Endpoint, 'webhookId' | 'failingSinceMs'>): void
  /** Makes all cursors of an endpoint due now. */
  release(webhookId: string): Promise<void>
}

export function createRecovery({ pool, hurryDeliveries, clock, log }: RecoveryDeps): Recovery {
  /** Endpoints that have failed in this process since their cursors were last made due. */
  const failing = new Set<string>()
  /** When the cursors of an endpoint were last made due, ms of the steady clock. */
  const releasedAtMs = new Map<string, number>()

  async function release(webhookId: string): Promise<void> {
    releasedAtMs.set(webhookId, clock.steadyMs())
    failing.delete(webhookId)
    const eventIds = await releaseCursors(pool, webhookId)
    if (eventIds.length > 0)
      await hurryDeliveries(eventIds.map((eventId) => ({ webhookId, eventId })))
  }

  return {
    failed: (webhookId) => void failing.add(webhookId),
    succeeded({ webhookId, failingSinceMs }) {
      if (failingSinceMs === null && !failing.has(webhookId)) return
      const sinceMs = clock.steadyMs() - (releasedAtMs.get(webhookId) ?? Number.NEGATIVE_INFINITY)
      if (sinceMs < RELEASE_EVERY_MS) return
      release(webhookId).catch((err) => {
        failing.add(webhookId)
        log.warn({ err, webhookId }, 'could not make the deliveries of an endpoint due')
      })
    },
    release,
  }
}
