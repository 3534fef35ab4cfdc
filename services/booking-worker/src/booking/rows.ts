import type { BatchWrites, LoadedBatch, LoadRequest } from '@ticket-line/db'
import { type AcceptedCommand, WAITLIST_BLOCK_SIZE } from '@ticket-line/shared'
import type { Change } from './decide.js'
import { type BatchResult, type BatchState, keyOf } from './decide-batch.js'
import { type Claim, type EventState, startBatch } from './event-state.js'

/** What must be loaded to decide these commands of these jobs. */
export function loadRequestOf(
  jobIds: string[],
  commands: readonly AcceptedCommand[],
  whenLocked: LoadRequest['whenLocked'],
): LoadRequest {
  const users = new Map<string, LoadRequest['users'][number]>()
  const cancels = new Map<number, number>()
  const eventIds = new Set<number>()
  const keys = new Map<string, LoadRequest['keys'][number]>()
  for (const { type, eventId, userId, caller, keyHash } of commands) {
    eventIds.add(eventId)
    const key = `${eventId}\n${userId}`
    const user = users.get(key)
    if (user === undefined) users.set(key, { eventId, userId, wantPosition: type === 'book' })
    else if (type === 'book') user.wantPosition = true
    // A cancel takes at most one entry from the list: the user's own, or the one it promotes.
    if (type === 'cancel') cancels.set(eventId, (cancels.get(eventId) ?? 0) + 1)
    if (keyHash !== undefined) keys.set(keyOf(caller, keyHash), { caller, keyHash })
  }
  return {
    eventIds: [...eventIds].sort((a, b) => a - b),
    whenLocked,
    jobIds,
    users: [...users.values()],
    heads: [...cancels].map(([eventId, count]) => ({ eventId, count })),
    keys: [...keys.values()],
  }
}

/**
 * The state that a batch starts from.
 *
 * @throws InvariantError if the rows contradict each other
 */
export function stateOf(request: LoadRequest, loaded: LoadedBatch): BatchState {
  const requested = new Map(request.heads.map((head) => [head.eventId, head.count]))
  const events = new Map<number, EventState>()
  for (const row of loaded.events) {
    const heads = loaded.heads.filter((head) => head.eventId === row.eventId)
    const headsComplete = row.waitingCount === 0 || heads.length < (requested.get(row.eventId) ?? 0)
    // Entries before the first one found have left the list. Later batches need not search through
    // them.
    const waitlistHeadSequence = heads[0]?.sequence ?? row.waitlistHeadSequence
    events.set(
      row.eventId,
      startBatch({ ...row, waitlistHeadSequence, claims: new Map(), heads, headsComplete }),
    )
  }
  for (const { eventId, userId, kind, sequence, position } of loaded.claims) {
    const claim: Claim =
      kind === 'booking'
        ? { kind, sequence }
        : { kind, sequence, loadedPosition: position ?? undefined }
    events.get(eventId)?.claims.set(userId, claim)
  }
  return {
    events,
    stored: new Map(loaded.stored.map((row) => [row.commandId, row.outcome])),
    keys: new Map(loaded.keys.map((row) => [keyOf(row.command.caller, row.keyHash), row])),
  }
}

/**
 * The rows that a decided batch writes. The batch writes each row once, however often its commands
 * changed it.
 *
 * @param events the states after the batch
 */
export function writesOf(
  events: Map<number, EventState>,
  loaded: LoadedBatch,
  { decided }: BatchResult,
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
    decided,
    nowMs: loaded.nowMs,
  }
  const changesByEvent = new Map<number, Change[]>()
  for (const { changes } of decided) {
    for (const change of changes) {
      const ofEvent = changesByEvent.get(change.eventId)
      if (ofEvent === undefined) changesByEvent.set(change.eventId, [change])
      else ofEvent.push(change)
    }
  }
  if (changesByEvent.size === 0) return writes
  const claimed = new Set(loaded.claims.map((claim) => `${claim.eventId}\n${claim.userId}`))
  for (const [eventId, changes] of changesByEvent) {
    const state = events.get(eventId) as EventState
    writes.events.push(state)
    addRows(writes, eventId, changes)
    addClaims(writes, state, changes, claimed)
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
  claimed: Set<string>,
): void {
  const { eventId } = state
  const joinedHere = new Set<string>()
  const hadRow = new Map<string, boolean>()
  for (const { type, userId } of changes) {
    if (!hadRow.has(userId)) {
      // A batch loads only the claims of users that it names. A promoted user that did not join in
      // this batch has a claim, even if it was not loaded.
      const wasWaiting = type === 'promoted' && !joinedHere.has(userId)
      hadRow.set(userId, wasWaiting || claimed.has(`${eventId}\n${userId}`))
    }
    if (type === 'joined') joinedHere.add(userId)
  }
  for (const [userId, existed] of hadRow) {
    const claim = state.claims.get(userId)
    if (claim === undefined) {
      if (existed) writes.claimsRemoved.push({ eventId, userId })
      continue
    }
    const row = { eventId, userId, kind: claim.kind, sequence: claim.sequence }
    if (existed) writes.claimsMoved.push(row)
    else writes.claimsAdded.push(row)
  }
}
