import { sleep, systemClock } from '@ticket-line/shared'
import type { PoolClient } from 'pg'
import { readLastChanges } from './changes.js'

/** The last change of an event when it was read from the primary. */
export interface LogPosition {
  eventId: number
  epoch: string
  lastChange: number
}

/** Pause between two reads of what a standby has received, ms. */
const LOOK_EVERY_MS = 20

/**
 * Waits until a standby has everything that the primary had decided for an event. Each decision
 * raises the number of the event's last change, so this works with every kind of replication and
 * needs no privilege. It also fails if the address leads to another database.
 *
 * @throws Error if the standby has not received it within `timeoutMs`; the driver's error if the
 * standby does not answer
 */
export async function waitUntilReceived(
  client: PoolClient,
  { eventId, epoch, lastChange }: LogPosition,
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
    await sleep(LOOK_EVERY_MS)
  }
}
