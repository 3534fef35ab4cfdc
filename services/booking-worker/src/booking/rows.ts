import type {
  BatchWrites,
  BookingChange,
  BookingStatus,
  BookingWrite,
  DecidedWrite,
  EntryStatus,
  LoadedBatch,
  LoadedClaim,
  LoadRequest,
} from '@ticket-line/db'
import {
  type AcceptedCommand,
  MAX_LOG_ROWS_PER_SETTLE,
  NOBODY,
  sequenceOfBookingId,
  WAITLIST_BLOCK_SIZE,
} from '@ticket-line/shared'
import type { Change, Deadline } from './change.js'
import { type BatchResult, type BatchState, keyOf } from './decide-batch.js'
import { settingsOf } from './decide-staff.js'
import { type Claim, type EventState, startBatch } from './event-state.js'
import { logOf } from './log.js'

/** What must be loaded to decide these commands of these jobs. */
export function loadRequestOf(
  jobIds: string[],
  commands: readonly AcceptedCommand[],
  whenLocked: LoadRequest['whenLocked'],
): LoadRequest {
  const users = new Map<string, LoadRequest['users'][number]>()
  const heads = new Map<number, number>()
  const eventIds = new Set<number>()
  const keys = new Map<string, LoadRequest['keys'][number]>()
  const named: LoadRequest['named'] = []
  const due: LoadRequest['due'] = []
  const details = new Set<number>()
  for (const command of commands) {
    const { type, eventId, userId, caller, keyHash } = command
    eventIds.add(eventId)
    if (keyHash !== undefined) keys.set(keyOf(caller, keyHash), { caller, keyHash })
    if (type === 'settle') {
      due.push({ eventId, count: MAX_LOG_ROWS_PER_SETTLE + 1 })
      heads.set(eventId, MAX_LOG_ROWS_PER_SETTLE)
      continue
    }
    if (type === 'configure') details.add(eventId)
    if (type === 'configure' || type === 'cancel_event') continue
    const wantPosition = type !== 'cancel' && type !== 'grant'
    const key = `${eventId}\n${userId}`
    const user = users.get(key)
    if (user === undefined) users.set(key, { eventId, userId, wantPosition })
    else if (wantPosition) user.wantPosition = true
    // Each of these takes at most one entry from the list: the user's own, or the one it promotes.
    if (type === 'cancel' || type === 'grant') heads.set(eventId, (heads.get(eventId) ?? 0) + 1)
    if ('bookingId' in command && command.bookingId !== undefined) {
      const sequence = sequenceOfBookingId(eventId, command.bookingId)
      if (sequence !== undefined) named.push({ eventId, sequence })
    }
  }
  return {
    eventIds: [...eventIds].sort((a, b) => a - b),
    whenLocked,
    jobIds,
    users: [...users.values()],
    heads: [...heads].map(([eventId, count]) => ({ eventId, count })),
    keys: [...keys.values()],
    named,
    due,
    details: [...details],
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
    // them. If the event is canceled, settles also search its bookings, whose numbers can be lower.
    const waitlistHeadSequence =
      row.canceledAtMs === null
        ? (heads[0]?.sequence ?? row.waitlistHeadSequence)
        : row.waitlistHeadSequence
    events.set(
      row.eventId,
      startBatch({
        ...row,
        waitlistHeadSequence,
        claims: new Map(),
        heads,
        headsComplete,
        lapsed: new Map(),
        due: loaded.due.filter(({ eventId }) => eventId === row.eventId),
        expiring: loaded.expiring.filter(({ eventId }) => eventId === row.eventId),
        details: undefined,
      }),
    )
  }
  for (const claim of loaded.claims)
    events.get(claim.eventId)?.claims.set(claim.userId, claimOf(claim))
  for (const { eventId, sequence, userId, lapsedAtMs } of loaded.lapsed)
    events.get(eventId)?.lapsed.set(sequence, { userId, lapsedAtMs })
  for (const { eventId, ...details } of loaded.details) {
    const state = events.get(eventId)
    if (state !== undefined) state.details = details
  }
  return {
    events,
    stored: new Map(loaded.stored.map((row) => [row.commandId, row.outcome])),
    keys: new Map(loaded.keys.map((row) => [keyOf(row.command.caller, row.keyHash), row])),
  }
}

function claimOf(row: LoadedClaim): Claim {
  const { sequence } = row
  switch (row.kind) {
    case 'booking':
      return { kind: 'booking', sequence }
    case 'waiting':
      return { kind: 'waiting', sequence, loadedPosition: row.position ?? undefined }
    case 'held': {
      const { heldAtMs, holdSeconds, expiresAtMs, offered } = row
      return { kind: 'held', sequence, heldAtMs, holdSeconds, expiresAtMs, offered }
    }
    case 'lapsed':
      return { kind: 'lapsed', sequence, lapsedAtMs: row.lapsedAtMs }
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
    settings: [],
    claimsAdded: [],
    claimsMoved: [],
    claimsRemoved: [],
    bookingsAdded: [],
    bookingsChanged: [],
    entriesAdded: [],
    entriesLeft: [],
    blocks: [],
    log: [],
    decided: [],
    nowMs: loaded.nowMs,
  }
  const claimed = new Set(loaded.claims.map(({ eventId, userId }) => `${eventId}\n${userId}`))
  const rest = addDecided(writes, events, claimed, decided)
  for (const [eventId, { changes, lastChange, booked }] of rest) {
    const state = events.get(eventId) as EventState
    writes.events.push({ ...state, lastChange })
    if (changes.length === 0) continue
    if (state.details !== undefined && changes.some(({ type }) => type === 'configured'))
      writes.settings.push({ eventId, ...settingsOf(state) })
    addBookings(writes, eventId, changes)
    addEntries(writes, eventId, changes)
    addClaims(writes, state, changes, claimed, booked)
  }
  return writes
}

/** What a batch changed of an event, besides the bookings in `DecidedWrite.booked`. */
interface EventChanges {
  changes: Change[]
  /** The last number in the event's log. */
  lastChange: number
  /** The numbers of the bookings in `DecidedWrite.booked`. */
  booked: Set<number>
}

/**
 * Adds the commands with their bookings of free tickets, and the log of everything else, in order
 * of decision.
 *
 * @param claimed the users with a row in `claims` before the batch
 * @returns what the caller must still add, for each event that the batch changed
 */
function addDecided(
  writes: BatchWrites,
  events: Map<number, EventState>,
  claimed: Set<string>,
  decided: BatchResult['decided'],
): Map<number, EventChanges> {
  const byEvent = new Map<number, EventChanges>()
  for (const { command, outcome, ownsKey, changes } of decided) {
    const { commandId, caller } = command
    const actor = caller === NOBODY ? null : caller
    let booked: DecidedWrite['booked']
    for (const change of changes) {
      const { eventId } = change
      const state = events.get(eventId) as EventState
      let ofEvent = byEvent.get(eventId)
      if (ofEvent === undefined) {
        ofEvent = { changes: [], lastChange: state.lastChange, booked: new Set() }
        byEvent.set(eventId, ofEvent)
      }
      if (change.type === 'booked' && isKept(change, state, claimed)) {
        ofEvent.lastChange += 1
        ofEvent.booked.add(change.sequence)
        booked = { sequence: change.sequence, no: ofEvent.lastChange }
        continue
      }
      ofEvent.changes.push(change)
      for (const { type, userId, sequence, data } of logOf(change)) {
        ofEvent.lastChange += 1
        const no = ofEvent.lastChange
        writes.log.push({ eventId, no, type, userId, sequence, actor, commandId, data })
      }
    }
    writes.decided.push({ command, outcome, ownsKey, booked })
  }
  return byEvent
}

/** True if the user had no row in `claims` before the batch and has this booking after it. */
function isKept(
  { eventId, userId, sequence }: { eventId: number; userId: string; sequence: number },
  { claims }: EventState,
  claimed: Set<string>,
): boolean {
  const claim = claims.get(userId)
  if (claim?.kind !== 'booking' || claim.sequence !== sequence) return false
  return claimed.size === 0 || !claimed.has(`${eventId}\n${userId}`)
}

function addBookings(writes: BatchWrites, eventId: number, changes: Change[]): void {
  const added = new Map<number, BookingWrite>()
  const changed = new Map<number, BookingChange>()
  /** @param was its status before the batch, if it began earlier and this is its first change */
  const move = (
    sequence: number,
    was: BookingStatus,
    to: Partial<Pick<BookingChange, 'status' | 'expiresAtMs' | 'confirmed' | 'reminded'>>,
  ): void => {
    const row = added.get(sequence) ?? changed.get(sequence)
    if (row !== undefined) Object.assign(row, to)
    else {
      const unchanged = { status: was, expiresAtMs: null, confirmed: false, reminded: false }
      changed.set(sequence, { eventId, sequence, was, ...unchanged, ...to })
    }
  }
  for (const change of changes) {
    switch (change.type) {
      case 'booked':
      case 'granted':
        added.set(change.sequence, bookingRow(eventId, change, undefined))
        break
      case 'held':
        added.set(change.sequence, bookingRow(eventId, change, change))
        break
      case 'promoted':
        added.set(change.sequence, bookingRow(eventId, change, change.offer))
        break
      case 'confirmed':
        move(change.sequence, change.origin === 'late' ? 'expired' : 'held', {
          status: 'confirmed',
          confirmed: true,
        })
        break
      case 'extended':
        move(change.sequence, 'held', { expiresAtMs: change.expiresAtMs })
        break
      case 'reminded':
        move(change.sequence, 'held', { reminded: true })
        break
      case 'canceled':
        move(change.sequence, 'confirmed', { status: 'canceled' })
        break
      case 'released':
        move(change.sequence, 'held', { status: 'canceled' })
        break
      case 'lapsed':
        move(change.sequence, 'held', { status: 'expired' })
        break
      case 'ended':
        if (change.kind !== 'waiting') {
          const was = change.kind === 'held' ? 'held' : 'confirmed'
          move(change.sequence, was, { status: 'event_canceled' })
        }
        break
    }
  }
  writes.bookingsAdded.push(...added.values())
  writes.bookingsChanged.push(...changed.values())
}

/** @param hold its deadline, if it is a hold */
function bookingRow(
  eventId: number,
  { type, userId, sequence }: Change & { userId: string; sequence: number },
  hold: Deadline | undefined,
): BookingWrite {
  return {
    eventId,
    sequence,
    userId,
    promoted: type === 'promoted',
    granted: type === 'granted',
    status: hold === undefined ? 'confirmed' : 'held',
    holdSeconds: hold?.holdSeconds ?? null,
    expiresAtMs: hold?.expiresAtMs ?? null,
    confirmed: false,
  }
}

function addEntries(writes: BatchWrites, eventId: number, changes: Change[]): void {
  const entries = new Map<number, BatchWrites['entriesAdded'][number]>()
  const blocks = new Map<number, number>()
  const count = (sequence: number, delta: number): void => {
    const block = Math.floor(sequence / WAITLIST_BLOCK_SIZE)
    blocks.set(block, (blocks.get(block) ?? 0) + delta)
  }
  const leave = (sequence: number, status: EntryStatus): void => {
    count(sequence, -1)
    const joinedHere = entries.get(sequence)
    if (joinedHere === undefined) writes.entriesLeft.push({ eventId, sequence, status })
    else joinedHere.status = status
  }
  for (const change of changes) {
    switch (change.type) {
      case 'joined': {
        const { sequence, userId } = change
        entries.set(sequence, { eventId, sequence, userId, status: 'waiting' })
        count(sequence, 1)
        break
      }
      case 'withdrawn':
        leave(change.sequence, 'withdrawn')
        break
      case 'promoted':
        leave(change.entrySequence, 'promoted')
        break
      case 'granted':
        if (change.entrySequence !== undefined) leave(change.entrySequence, 'granted')
        break
      case 'ended':
        if (change.kind === 'waiting') leave(change.sequence, 'event_canceled')
        break
    }
  }
  writes.entriesAdded.push(...entries.values())
  for (const [block, delta] of blocks)
    if (delta !== 0) writes.blocks.push({ eventId, block, delta })
}

function addClaims(
  writes: BatchWrites,
  state: EventState,
  changes: Change[],
  claimed: Set<string>,
  booked: Set<number>,
): void {
  const { eventId } = state
  const hadRow = new Map<string, boolean>()
  for (const change of changes) {
    if (!('userId' in change) || change.type === 'reminded' || hadRow.has(change.userId)) continue
    const { type, userId } = change
    // A batch loads only the claims of users that it names, and settles and cancels change others.
    // If the first change of a user in the batch is one of these, the user has a claim, even if it
    // was not loaded.
    const hadClaim = type === 'promoted' || type === 'lapsed' || type === 'ended'
    hadRow.set(userId, hadClaim || claimed.has(`${eventId}\n${userId}`))
  }
  for (const [userId, existed] of hadRow) {
    const claim = state.claims.get(userId)
    if (claim === undefined) {
      if (existed) writes.claimsRemoved.push({ eventId, userId })
      continue
    }
    if (claim.kind === 'booking' && booked.has(claim.sequence)) continue
    const row = { eventId, userId, kind: claim.kind, sequence: claim.sequence }
    if (existed) writes.claimsMoved.push(row)
    else writes.claimsAdded.push(row)
  }
}
