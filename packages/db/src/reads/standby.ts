import { sleep, systemClock } from '@ticket-line/shared'
import type { PoolClient } from 'pg'
import { readLastChanges } from './changes.js'

/** The last change of an event when it was read from the primary. */
export interface LastChange {
  eventId: number
  /** The epoch of the installation. Numbers of another epoch mean nothing in this one. */
  epoch: string
  /** The number of the change. */
  lastChange: number
}

/** Pause between two reads of what a standby has received, ms. */
const CHECK_EVERY_MS = 20

/**
 * Waits until a standby has received a change of an event, and so everything that was decided for
 * the event before it. Each decision raises the number of the event's last change, so this works
 * with every kind of replication and needs no privilege.
 *
 * @param client a connection to the standby
 * @throws Error if the standby has not received the change within `timeoutMs`, or is a standby of
 * another database; the driver's error if the standby does not answer
 */
export async function waitUntilReceived(
  client: PoolClient,
  { eventId, epoch, lastChange }: LastChange,
  timeoutMs: number,
): Promise<void> {
  const untilMs = systemClock.steadyMs() + timeoutMs
  for (;;) {
    const received = await readLastChanges(client, [eventId])
    const receivedChange = received.lastChanges.get(eventId) ?? 0
    if (received.epoch === epoch && receivedChange >= lastChange) return
    if (systemClock.steadyMs() >= untilMs) {
      throw new Error(
        received.epoch === epoch
          ? `the standby has not received change ${lastChange} of event ${eventId} within ${timeoutMs} ms`
          : 'the standby has another epoch than the primary, or is a standby of another database',
      )
    }
    await sleep(CHECK_EVERY_MS)
  }
}
