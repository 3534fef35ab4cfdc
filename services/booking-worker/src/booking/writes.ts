import type { BatchWrites, LoadedBatch } from '@ticket-line/db'
import { type Command, WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'
import type { Change } from './decide.js'
import type { BatchResult } from './decide-batch.js'
import type { EventState } from './event-state.js'

/**
 * Turns the changes of a batch into rows, each row written once whatever happened to it within the batch.
 *
 * @param acceptedAtMs when each command's job was put together
 */
export function writesOf(
  events: Map<number, EventState>,
  loaded: LoadedBatch,
  result: BatchResult,
  acceptedAtMs: (command: Command) => number,
): BatchWrites {
  const writes: BatchWrites = {
    events: [],
    claimsAdded: [],
    claimsMoved: [],
    claimsRemoved: [],
    bookingsAdded: [],
    bookingsCanceled: [],
    entriesAdded: [],
    entriesLeft: [],
    blocks: [],
    decided: result.decided.map((row) => ({ ...row, acceptedAtMs: acceptedAtMs(row.command) })),
    nowMs: loaded.nowMs,
  }
  if (result.changes.size === 0) return writes
  const held = new Set(loaded.claims.map((claim) => `${claim.eventId}\n${claim.userId}`))
  for (const [eventId, changes] of result.changes) {
    const state = events.get(eventId) as EventState
    const { availableTickets, waitingCount, lastSequence, waitlistHeadSequence, totalTickets } =
      state
    writes.events.push({
      eventId,
      totalTickets,
      availableTickets,
      waitingCount,
      lastSequence,
      waitlistHeadSequence,
    })
    addRows(writes, eventId, changes)
    addClaims(writes, state, changes, held)
  }
  return writes
}

function addRows(writes: BatchWrites, eventId: number, changes: Change[]): void {
  const bookings = new Map<number, BatchWrites['bookingsAdded'][number]>()
  const entries = new Map<number, BatchWrites['entriesAdded'][number]>()
  const blocks = new Map<number, number>()
  const count = (sequence: number, delta: number): void => {
    const block = Math.floor(sequence / WAITLIST_BLOCK_SIZE)
    blocks.set(block, (blocks.get(block) ?? 0) + delta)
  }
  const leave = (sequence: number, status: 'promoted' | 'withdrawn'): void => {
    count(sequence, -1)
    const joinedHere = entries.get(sequence)
    if (joinedHere === undefined) writes.entriesLeft.push({ eventId, sequence, status })
    else joinedHere.status = status
  }
  for (const change of changes) {
    const { userId, sequence } = change
    switch (change.type) {
      case 'booked':
        bookings.set(sequence, { eventId, sequence, userId, promoted: false, canceled: false })
        break
      case 'joined':
        entries.set(sequence, { eventId, sequence, userId, status: 'waiting' })
        count(sequence, 1)
        break
      case 'canceled': {
        const bookedHere = bookings.get(sequence)
        if (bookedHere === undefined) writes.bookingsCanceled.push({ eventId, sequence })
        else bookedHere.canceled = true
        break
      }
      case 'withdrawn':
        leave(sequence, 'withdrawn')
        break
      case 'promoted':
        leave(change.entrySequence, 'promoted')
        bookings.set(sequence, { eventId, sequence, userId, promoted: true, canceled: false })
        break
    }
  }
  writes.bookingsAdded.push(...bookings.values())
  writes.entriesAdded.push(...entries.values())
  for (const [block, delta] of blocks)
    if (delta !== 0) writes.blocks.push({ eventId, block, delta })
}

function addClaims(
  writes: BatchWrites,
  state: EventState,
  changes: Change[],
  held: Set<string>,
): void {
  const { eventId } = state
  // A promoted user's row exists: he waited, in this batch or before it.
  const joinedHere = new Set<string>()
  const heldBefore = new Map<string, boolean>()
  for (const change of changes) {
    const { userId } = change
    if (!heldBefore.has(userId)) {
      heldBefore.set(
        userId,
        held.has(`${eventId}\n${userId}`) ||
          (change.type === 'promoted' && !joinedHere.has(userId)),
      )
    }
    if (change.type === 'joined') joinedHere.add(userId)
  }
  for (const [userId, before] of heldBefore) {
    const claim = state.claims.get(userId)
    if (claim === undefined) {
      if (before) writes.claimsRemoved.push({ eventId, userId })
      continue
    }
    const row = { eventId, userId, kind: claim.kind, sequence: claim.sequence }
    if (before) writes.claimsMoved.push(row)
    else writes.claimsAdded.push(row)
  }
}
