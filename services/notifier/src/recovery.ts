import { type CursorKey, type Pool, recordRecovery, releaseCursors } from '@ticket-line/db'
import type { Clock, Log } from '@ticket-line/shared'
import type { Endpoint } from './endpoints.js'

/**
 * Shortest time between two releases of all cursors of an endpoint, ms. Without it, if an endpoint
 * fails for one event and answers for the others, each success would repeat the failing request.
 */
const RELEASE_EVERY_MS = 5000

export interface RecoveryDeps {
  pool: Pool
  hurryDeliveries: (keys: readonly CursorKey[]) => Promise<void>
  clock: Clock
  log: Log
}

type RecoveringEndpoint = Pick<Endpoint, 'webhookId' | 'failingSinceMs'>

/** Makes all cursors of an endpoint due when it answers again. */
export interface Recovery {
  /** Called after each failure. */
  failed(webhookId: string): void
  /** Called after each success. Does nothing if the endpoint was not failing. */
  succeeded(endpoint: RecoveringEndpoint): void
  /** Makes all cursors of an endpoint due now. */
  release(webhookId: string): Promise<void>
}

export function createRecovery({ pool, hurryDeliveries, clock, log }: RecoveryDeps): Recovery {
  /** Endpoints that have failed in this process since they last answered. */
  const failing = new Set<string>()
  /** Endpoints that answer again, but whose cursors could not be made due yet. */
  const unreleased = new Set<string>()
  /** When the cursors of an endpoint were last made due, ms of the steady clock. */
  const releasedAtMs = new Map<string, number>()

  async function release(webhookId: string): Promise<void> {
    releasedAtMs.set(webhookId, clock.steadyMs())
    failing.delete(webhookId)
    unreleased.delete(webhookId)
    const eventIds = await releaseCursors(pool, webhookId)
    if (eventIds.length > 0)
      await hurryDeliveries(eventIds.map((eventId) => ({ webhookId, eventId })))
  }

  async function recover({ webhookId, failingSinceMs }: RecoveringEndpoint): Promise<void> {
    const isFailing = failing.has(webhookId) || failingSinceMs !== null
    if (!isFailing && !unreleased.has(webhookId)) return
    const sinceMs = clock.steadyMs() - (releasedAtMs.get(webhookId) ?? Number.NEGATIVE_INFINITY)
    if (sinceMs >= RELEASE_EVERY_MS) return release(webhookId)
    unreleased.add(webhookId)
    failing.delete(webhookId)
    if (isFailing) await recordRecovery(pool, webhookId)
  }

  return {
    failed: (webhookId) => void failing.add(webhookId),
    succeeded(endpoint) {
      recover(endpoint).catch((err) => {
        failing.add(endpoint.webhookId)
        log.warn(
          { err, webhookId: endpoint.webhookId },
          'could not record that an endpoint answers',
        )
      })
    },
    release,
  }
}
