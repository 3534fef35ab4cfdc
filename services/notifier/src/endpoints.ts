import type { EndpointRow, EndpointsRead } from '@ticket-line/db'
import { type ChangeType, every, type Log, type Loop } from '@ticket-line/shared'
import { decryptSecret, type SecretKeys } from '@ticket-line/webhooks'

/** A webhook, with what requests to it need. */
export interface Endpoint extends Omit<EndpointRow, 'secrets' | 'types'> {
  /**
   * The secrets with which a request is signed now, the newest first; undefined if that one cannot
   * be decrypted. Deliveries then wait.
   */
  secrets: string[] | undefined
  /** True if it gets changes of this type. */
  wants(type: ChangeType): boolean
}

/** The webhooks, as of less than a second ago. */
export interface Endpoints {
  /** Finds a webhook. If it is unknown, reads all webhooks again, because it may be new. */
  find(webhookId: string): Promise<Endpoint | undefined>
  /** True if some webhook gets changes of this event. */
  wantEvent(eventId: number): boolean
  /** The events whose changes webhooks get: null for all, an empty list if there is no webhook. */
  wantedEvents(): number[] | null
  /** The number of disabled webhooks, by reason. */
  countDisabled(): Map<string, number>
  /** Reads them now. */
  refresh(): Promise<void>
  stop(): Promise<void>
}

export interface EndpointsDeps {
  read: () => Promise<EndpointsRead>
  secretKeys: SecretKeys
  /**
   * Called when the cursors belong to an earlier epoch. It makes them belong to the present one.
   */
  adoptEpoch: () => Promise<unknown>
  /** Called when the enabled webhooks, or the events that they ask for, have changed. */
  onMoreWanted: () => void
  log: Log
}

/**
 * How often the webhooks are read, ms. A change of a webhook takes effect within this time.
 */
const READ_EVERY_MS = 500

/** Keeps all webhooks in memory. There are few: at most 20 for each organizer. */
export function watchEndpoints(deps: EndpointsDeps): Endpoints {
  const { log } = deps
  let endpoints = new Map<string, Endpoint>()
  /** Decrypted secrets by the encrypted form, so that each is decrypted once. */
  let decrypted = new Map<string, string>()
  /** The encrypted secrets that could not be decrypted at the last read. */
  let unreadable = new Set<string>()
  /** Everything that decides who gets changes of which event, as text for comparison. */
  let interest = ''
  const loop: Loop = every(READ_EVERY_MS, refresh, {
    onError: (err) => log.warn({ err }, 'could not read the webhooks'),
  })

  async function refresh(): Promise<void> {
    let read = await deps.read()
    if (!read.isOfEpoch) {
      await deps.adoptEpoch()
      read = await deps.read()
    }
    const kept = { decrypted, unreadable }
    decrypted = new Map()
    unreadable = new Set()
    endpoints = new Map(read.endpoints.map((row) => [row.webhookId, endpointOf(row, kept)]))
    const before = interest
    interest = JSON.stringify(
      read.endpoints.map((row) => [row.webhookId, row.eventIds, row.disabledReason === null]),
    )
    if (interest !== before) deps.onMoreWanted()
  }

  /** What the last read found. */
  interface Kept {
    decrypted: ReadonlyMap<string, string>
    unreadable: ReadonlySet<string>
  }

  function endpointOf(row: EndpointRow, kept: Kept): Endpoint {
    const { types } = row
    return {
      ...row,
      secrets: secretsOf(row, kept),
      wants: (type) => types === null || types.includes(type),
    }
  }

  function secretsOf({ webhookId, secrets }: EndpointRow, kept: Kept): string[] | undefined {
    const [newest, ...previous] = secrets.map((encrypted) => secretOf(webhookId, encrypted, kept))
    // After a rotation, receivers may accept the new secret only, so it must be among them.
    if (newest === undefined) return undefined
    return [newest, ...previous.filter((secret) => secret !== undefined)]
  }

  /** @returns undefined if it cannot be decrypted */
  function secretOf(webhookId: string, encrypted: Buffer, kept: Kept): string | undefined {
    const key = encrypted.toString('latin1')
    try {
      const secret = kept.decrypted.get(key) ?? decryptSecret(deps.secretKeys, webhookId, encrypted)
      decrypted.set(key, secret)
      return secret
    } catch (err) {
      unreadable.add(key)
      if (!kept.unreadable.has(key))
        log.error({ err, webhookId }, 'a secret of a webhook cannot be decrypted')
      return undefined
    }
  }

  return {
    async find(webhookId) {
      if (!endpoints.has(webhookId)) await loop.runNow()
      return endpoints.get(webhookId)
    },
    wantEvent(eventId) {
      for (const { eventIds } of endpoints.values())
        if (eventIds === null || eventIds.includes(eventId)) return true
      return false
    },
    wantedEvents() {
      const wanted = new Set<number>()
      for (const { eventIds } of endpoints.values()) {
        if (eventIds === null) return null
        for (const eventId of eventIds) wanted.add(eventId)
      }
      return [...wanted]
    },
    countDisabled() {
      const counts = new Map<string, number>()
      for (const { disabledReason: reason } of endpoints.values())
        if (reason !== null) counts.set(reason, (counts.get(reason) ?? 0) + 1)
      return counts
    },
    refresh,
    stop: loop.stop,
  }
}
