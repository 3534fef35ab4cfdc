import type { EventState } from '@ticket-line/booking-worker/booking'
import type {
  BatchWrites,
  BookedTicket,
  BookingStatus,
  EntryStatus,
  EventRow,
  LoadedBatch,
  LoadRequest,
} from '@ticket-line/db'
import { eventRow } from '@ticket-line/db/testing'
import {
  type AcceptedCommand,
  type Command,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventDetails,
  type EventPatch,
  jobIdOf,
  type LoggedChange,
  type Outcome,
  type SaleRules,
  type StoredOutcome,
} from '@ticket-line/shared'

type ClaimWrite = BatchWrites['claimsAdded'][number]

/**
 * The tables of the line in memory. Reads and writes have the meaning of the statements in
 * `packages/db/src/line`, with the same errors: a row that exists already, a row that is missing, a
 * violated CHECK. Batches are loaded only from these rows, so a wrong row shows in a later decision
 * or in the next check of the promises.
 */
export interface RowStore {
  events: Map<number, EventRows>
  commands: Map<string, CommandRow>
  keys: Map<string, { commandId: string; acceptedAtMs: number; requestHash: string | undefined }>
  load(request: LoadRequest, nowMs: number): LoadedBatch
  /** The first idempotency key that the writes would take although another command owns it. */
  takenKeyOf(writes: BatchWrites): string | undefined
  apply(writes: BatchWrites): void
  /** `LineStore.bookFree`, for events that no transaction has locked. */
  bookFree(bookings: readonly AcceptedCommand[], nowMs: number): Map<string, BookedTicket>
  /** `CommandStore.recordAbandoned`. */
  abandon(commands: readonly Command[], nowMs: number): void
  /** Removes the claims of holds that lapsed more than a day ago, as pruning does. */
  pruneLapsed(nowMs: number): void
}

export interface EventRows {
  row: EventRow
  details: Omit<LoadedBatch['details'][number], 'eventId'>
  claims: Map<string, Pick<ClaimWrite, 'kind' | 'sequence'>>
  bookings: Map<number, BookingRow>
  entries: Map<number, { userId: string; status: EntryStatus }>
  blocks: Map<number, number>
  /** The change log. Change 1 is the creation of the event. */
  log: LoggedChange[]
}

export interface BookingRow {
  userId: string
  promoted: boolean
  granted: boolean
  status: BookingStatus
  /** Null if it was never a hold. */
  heldAtMs: number | null
  holdSeconds: number | null
  expiresAtMs: number | null
  /** True if it was logged as expiring since it got its deadline. */
  isReminded: boolean
  /** When it ended; null if it is live. */
  endedAtMs: number | null
}

export interface CommandRow {
  command: Command
  outcome: StoredOutcome
}

const DAY_MS = 24 * 3_600_000
const BLOCK_SIZE = 1024

/** How an event begins: its size, and settings other than the defaults. */
export type EventStart = number | { totalTickets: number; settings: EventPatch }

/**
 * @param starts how event 1, 2, … begins
 * @param lastSequence the last sequence number that each event has used before
 */
export function createRowStore(starts: readonly EventStart[], lastSequence: number): RowStore {
  const events = new Map(starts.map((start, i) => [i + 1, emptyEvent(i + 1, start, lastSequence)]))
  const commands = new Map<string, CommandRow>()
  /** Commands by job, which are one range of the primary key. */
  const commandsOfJob = new Map<string, Map<string, CommandRow>>()
  const keys: RowStore['keys'] = new Map()

  function insertCommand(row: CommandRow): void {
    const { commandId } = row.command
    insert(commands, commandId, row, 'commands')
    const jobId = jobIdOf(commandId)
    const ofJob = commandsOfJob.get(jobId) ?? new Map<string, CommandRow>()
    commandsOfJob.set(jobId, ofJob.set(commandId, row))
  }

  function load(request: LoadRequest, nowMs: number): LoadedBatch {
    const loaded: LoadedBatch = {
      nowMs,
      events: [],
      claims: [],
      heads: [],
      stored: [],
      forgotten: [],
      keys: [],
      lapsed: [],
      due: [],
      expiring: [],
      details: [],
    }
    for (const eventId of request.eventIds) {
      const event = events.get(eventId)
      if (event !== undefined) loaded.events.push({ ...event.row })
    }
    for (const jobId of request.jobIds)
      for (const [commandId, { outcome }] of commandsOfJob.get(jobId) ?? [])
        loaded.stored.push({ commandId, outcome })
    for (const { eventId, userId, wantPosition } of request.users) {
      const event = events.get(eventId)
      const claim = event?.claims.get(userId)
      if (event === undefined || claim === undefined) continue
      loaded.claims.push(loadedClaim(event, { eventId, userId, ...claim }, wantPosition))
    }
    for (const { eventId, count } of request.heads.toSorted((a, b) => a.eventId - b.eventId)) {
      const event = events.get(eventId)
      if (event === undefined || event.row.waitingCount === 0) continue
      for (const [sequence, userId] of firstWaiting(event, count))
        loaded.heads.push({ eventId, sequence, userId })
    }
    for (const key of request.keys) {
      const held = keys.get(nameOf(key))
      if (held === undefined) continue
      const { command, outcome } = commands.get(held.commandId) as CommandRow
      const { acceptedAtMs, requestHash } = held
      const { commandId, type, eventId, userId, caller } = command
      const first = { commandId, type, eventId, userId, caller }
      loaded.keys.push({
        command: requestHash === undefined ? first : { ...first, requestHash },
        keyHash: key.keyHash,
        acceptedAtMs,
        outcome: outcome as Outcome,
      })
    }
    for (const { eventId, sequence } of request.named) {
      const booking = events.get(eventId)?.bookings.get(sequence)
      if (booking?.status !== 'expired') continue
      const { userId, endedAtMs } = booking
      loaded.lapsed.push({ eventId, sequence, userId, lapsedAtMs: endedAtMs as number })
    }
    for (const { eventId, count } of request.due.toSorted((a, b) => a.eventId - b.eventId)) {
      const event = events.get(eventId)
      if (event === undefined) continue
      const due = event.row.canceledAtMs === null ? earliestHolds(event) : lowestClaims(event)
      loaded.due.push(...due.slice(0, count).map((claim) => ({ eventId, ...claim })))
      const expiring = holdsToRemind(event).slice(0, count)
      loaded.expiring.push(...expiring.map((hold) => ({ eventId, ...hold })))
    }
    for (const eventId of request.details) {
      const event = events.get(eventId)
      if (event !== undefined) loaded.details.push({ eventId, ...event.details })
    }
    return loaded
  }

  function apply(writes: BatchWrites): void {
    const taken = takenKeyOf(writes)
    if (taken !== undefined) throw new Error(`the key ${taken} is held`)
    for (const { command, ownsKey } of writes.decided) {
      if (!ownsKey) continue
      const { commandId, acceptedAtMs, requestHash } = command
      const name = nameOf({ caller: command.caller, keyHash: command.keyHash as string })
      keys.set(name, { commandId, acceptedAtMs, requestHash })
    }
    for (const row of writes.events) {
      const event = eventOf(row)
      // This statement writes no settings.
      event.row = checked({ ...rowOf(row), ...rulesOf(event.row) })
    }
    for (const settings of writes.settings) {
      const event = eventOf(settings)
      Object.assign(event.row, rulesOf(settings))
      for (const name of Object.keys(DEFAULT_EVENT_DETAILS) as (keyof EventDetails)[])
        Object.assign(event.details, { [name]: settings[name] })
    }
    for (const row of writes.claimsAdded)
      insert(eventOf(row).claims, row.userId, claimOf(row), 'claims')
    for (const row of writes.claimsMoved)
      update(eventOf(row).claims, row.userId, claimOf(row), 'claims')
    for (const row of writes.claimsRemoved)
      if (!eventOf(row).claims.delete(row.userId))
        throw new Error(`no claim of ${row.userId} to remove`)
    // The checks of the promises read the rows in order of their numbers.
    const begun = [...bookedOf(writes), ...writes.bookingsAdded]
    for (const row of begun.sort((a, b) => a.sequence - b.sequence)) {
      if ('command' in row) {
        insertBooking(row.command, row.sequence, writes.nowMs)
        continue
      }
      const { userId, promoted, granted, status, holdSeconds, expiresAtMs } = row
      const heldAtMs = holdSeconds === null ? null : writes.nowMs
      const endedAtMs = isLive(status) ? null : writes.nowMs
      const hold = { heldAtMs, holdSeconds, expiresAtMs, isReminded: false }
      const booking = { userId, promoted, granted, status, ...hold, endedAtMs }
      insert(eventOf(row).bookings, row.sequence, booking, 'bookings')
    }
    for (const row of writes.bookingsChanged) {
      const booking = eventOf(row).bookings.get(row.sequence)
      if (booking?.status !== row.was) throw new Error(`booking ${row.sequence} is not ${row.was}`)
      booking.status = row.status
      if (row.reminded) booking.isReminded = true
      else if (row.expiresAtMs !== null) booking.isReminded = false
      booking.expiresAtMs = row.expiresAtMs ?? booking.expiresAtMs
      booking.endedAtMs = isLive(row.status) ? null : writes.nowMs
    }
    for (const { eventId, sequence, userId, status } of writes.entriesAdded)
      insert(eventOf({ eventId }).entries, sequence, { userId, status }, 'waitlist_entries')
    for (const row of writes.entriesLeft) {
      const entry = eventOf(row).entries.get(row.sequence)
      if (entry?.status !== 'waiting') throw new Error(`entry ${row.sequence} is not waiting`)
      entry.status = row.status
    }
    for (const row of writes.blocks) {
      const { blocks } = eventOf(row)
      if (row.delta < 0 && !blocks.has(row.block)) throw new Error(`block ${row.block} is missing`)
      const count = (blocks.get(row.block) ?? 0) + row.delta
      if (count < 0 || count > BLOCK_SIZE) throw new Error(`block ${row.block} would hold ${count}`)
      blocks.set(row.block, count)
    }
    for (const { command, outcome, booked } of writes.decided)
      if (booked === undefined) insertCommand({ command, outcome })
    for (const row of logOf(writes)) eventOf(row).log.push(row)
  }

  /** Inserts a booking of a free ticket with its claim and its command. */
  function insertBooking(command: AcceptedCommand, sequence: number, nowMs: number): void {
    const { eventId, userId } = command
    const event = eventOf(command)
    insert(event.claims, userId, { kind: 'booking', sequence }, 'claims')
    const noHold = { heldAtMs: null, holdSeconds: null, expiresAtMs: null, isReminded: false }
    const made = { userId, promoted: false, granted: false, status: 'confirmed' as const }
    insert(event.bookings, sequence, { ...made, ...noHold, endedAtMs: null }, 'bookings')
    const bookingId = `${eventId}-${sequence}`
    insertCommand({ command, outcome: { outcome: 'booked', bookingId, decidedAtMs: nowMs } })
  }

  function bookFree(
    bookings: readonly AcceptedCommand[],
    nowMs: number,
  ): Map<string, BookedTicket> {
    const booked = new Map<string, BookedTicket>()
    const named = bookings.flatMap((booking) => keyNameOf(booking) ?? [])
    if (new Set(named).size < named.length) return booked
    for (const booking of bookings) {
      const { eventId, userId, commandId, acceptedAtMs } = booking
      const event = events.get(eventId)
      if (event === undefined || event.row.availableTickets === 0) continue
      const { holdSeconds, paused, opensAtMs, closesAtMs } = event.row
      if (holdSeconds !== null || paused) continue
      if ((opensAtMs ?? nowMs) > nowMs || (closesAtMs ?? nowMs + 1) <= nowMs) continue
      if (event.claims.has(userId) || commands.has(commandId)) continue
      const key = keyNameOf(booking)
      if (key !== undefined && keys.has(key)) continue
      const { row, log } = event
      const sequence = row.lastSequence + 1
      const availableTickets = row.availableTickets - 1
      const changes = changesOfFastPath(booking, row, sequence, nowMs)
      log.push(...changes)
      const lastChange = row.lastChange + changes.length
      event.row = checked({ ...row, availableTickets, lastSequence: sequence, lastChange })
      insertBooking(booking, sequence, nowMs)
      if (key !== undefined) keys.set(key, { commandId, acceptedAtMs, requestHash: undefined })
      booked.set(commandId, { sequence, lastChange, decidedAtMs: nowMs })
    }
    return booked
  }

  function takenKeyOf(writes: BatchWrites): string | undefined {
    for (const { command, ownsKey } of writes.decided) {
      if (!ownsKey) continue
      const name = nameOf({ caller: command.caller, keyHash: command.keyHash as string })
      if (ownerOf(name, command.acceptedAtMs) !== undefined) return name
    }
    return undefined
  }

  /** The command that owns a key at the time when another was accepted. */
  function ownerOf(name: string, acceptedAtMs: number): CommandRow | undefined {
    const key = keys.get(name)
    return key === undefined || acceptedAtMs - key.acceptedAtMs >= DAY_MS
      ? undefined
      : commands.get(key.commandId)
  }

  function eventOf({ eventId }: { eventId: number }): EventRows {
    const event = events.get(eventId)
    if (event === undefined) throw new Error(`event ${eventId} was written and does not exist`)
    return event
  }

  return {
    events,
    commands,
    keys,
    load,
    takenKeyOf,
    apply,
    bookFree,
    abandon(abandoned, nowMs) {
      for (const command of abandoned)
        if (!commands.has(command.commandId))
          insertCommand({ command, outcome: { outcome: 'abandoned', decidedAtMs: nowMs } })
    },
    pruneLapsed(nowMs) {
      for (const { claims, bookings } of events.values())
        for (const [userId, { kind, sequence }] of claims) {
          const endedAtMs = bookings.get(sequence)?.endedAtMs
          if (kind === 'lapsed' && nowMs - (endedAtMs as number) > DAY_MS) claims.delete(userId)
        }
    },
  }
}

/** A booking that takes the last ticket makes two changes. */
function changesOfFastPath(
  booking: AcceptedCommand,
  { availableTickets, lastChange }: EventRow,
  sequence: number,
  atMs: number,
): LoggedChange[] {
  const confirmed = confirmedChange(booking, sequence, lastChange + 1, atMs)
  if (availableTickets > 1) return [confirmed]
  const ofEvent = { userId: null, sequence: null }
  return [confirmed, { ...confirmed, ...ofEvent, no: lastChange + 2, type: 'event.sold_out' }]
}

function bookedOf({ decided }: BatchWrites) {
  return decided.flatMap(({ command, booked }) =>
    booked === undefined ? [] : [{ command, ...booked }],
  )
}

/** The rows of the change log that a batch writes, in order of their numbers. */
export function logOf(writes: BatchWrites): LoggedChange[] {
  const { log, nowMs } = writes
  return [
    ...bookedOf(writes).map(({ command, sequence, no }) =>
      confirmedChange(command, sequence, no, nowMs),
    ),
    ...log.map((row) => ({ ...row, atMs: nowMs })),
  ].sort((a, b) => a.no - b.no)
}

/** The log of a booking of a free ticket. */
function confirmedChange(
  { eventId, userId, caller, commandId }: AcceptedCommand,
  sequence: number,
  no: number,
  atMs: number,
): LoggedChange {
  const of = { eventId, userId, sequence, actor: caller, commandId, data: null }
  return { ...of, no, atMs, type: 'booking.confirmed' }
}

function emptyEvent(eventId: number, start: EventStart, lastSequence: number): EventRows {
  const { totalTickets, settings } =
    typeof start === 'number' ? { totalTickets: start, settings: {} } : start
  const rules = rulesOf({ ...DEFAULT_SALE_RULES, ...settings })
  const counts = { totalTickets, availableTickets: totalTickets, lastSequence, lastChange: 1 }
  const created: LoggedChange = {
    eventId,
    no: 1,
    type: 'event.created',
    atMs: 0,
    userId: null,
    sequence: null,
    actor: null,
    commandId: null,
    data: {
      settings: { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, ...settings, totalTickets },
    },
  }
  return {
    row: eventRow({ ...rules, eventId, ...counts }),
    details: { ...DEFAULT_EVENT_DETAILS, owner: null },
    claims: new Map(),
    bookings: new Map(),
    entries: new Map(),
    blocks: new Map(),
    log: [created],
  }
}

/**
 * The position as the SQL statement counts it: the blocks before the block of the entry, then the
 * entries of that block up to this one.
 */
function positionOf(event: EventRows, sequence: number): number {
  const ownBlock = Math.floor(sequence / BLOCK_SIZE)
  let position = 0
  for (const [block, count] of event.blocks) if (block < ownBlock) position += count
  for (let other = ownBlock * BLOCK_SIZE; other <= sequence; other++)
    if (event.entries.get(other)?.status === 'waiting') position += 1
  return position
}

function firstWaiting(event: EventRows, count: number): [sequence: number, userId: string][] {
  const found: [number, string][] = []
  const { waitlistHeadSequence, lastSequence } = event.row
  for (
    let sequence = waitlistHeadSequence;
    sequence <= lastSequence && found.length < count;
    sequence++
  ) {
    const entry = event.entries.get(sequence)
    if (entry?.status === 'waiting') found.push([sequence, entry.userId])
  }
  return found
}

/** The columns of `events`, from a state that has more. */
function rowOf(state: EventRow): EventRow {
  const { claims, heads, headsComplete, nextHead, departed, joinedPosition, ...most } =
    state as EventState
  const { lapsed, due, nextDue, expiring, nextExpiring, details, ...row } = most
  return row
}

function rulesOf(settings: SaleRules): SaleRules {
  const names = Object.keys(DEFAULT_SALE_RULES) as (keyof SaleRules)[]
  return Object.fromEntries(names.map((name) => [name, settings[name]])) as unknown as SaleRules
}

function isLive(status: BookingStatus): boolean {
  return status === 'confirmed' || status === 'held'
}

type DueClaim = Omit<LoadedBatch['due'][number], 'eventId'>

/** The holds of an event, in the order in which they lapse. */
function earliestHolds(event: EventRows): DueClaim[] {
  const holds: (DueClaim & { expiresAtMs: number })[] = []
  for (const [sequence, { userId, status, expiresAtMs }] of event.bookings)
    if (status === 'held')
      holds.push({ kind: 'held', sequence, userId, expiresAtMs: expiresAtMs as number })
  return holds.sort((a, b) => a.expiresAtMs - b.expiresAtMs || a.sequence - b.sequence)
}

/** The holds that were not logged as expiring, in the order in which they are. */
function holdsToRemind(event: EventRows): Omit<LoadedBatch['expiring'][number], 'eventId'>[] {
  const holds: (ReturnType<typeof holdsToRemind>[number] & { fifth: number })[] = []
  for (const [sequence, booking] of event.bookings) {
    if (booking.status !== 'held' || booking.isReminded) continue
    const { userId, heldAtMs, expiresAtMs } = booking as BookingRow & Record<Times, number>
    const fifth = 4 * expiresAtMs + heldAtMs
    holds.push({ sequence, userId, heldAtMs, expiresAtMs, fifth })
  }
  return holds
    .sort((a, b) => a.fifth - b.fifth || a.sequence - b.sequence)
    .map(({ fifth, ...hold }) => hold)
}

type Times = 'heldAtMs' | 'expiresAtMs'

/** The live claims of a canceled event, in order of their numbers. */
function lowestClaims(event: EventRows): DueClaim[] {
  const claims: DueClaim[] = []
  for (const [userId, { kind, sequence }] of event.claims)
    if (kind !== 'lapsed' && sequence >= event.row.waitlistHeadSequence)
      claims.push({ kind, sequence, userId, expiresAtMs: null })
  return claims.sort((a, b) => a.sequence - b.sequence)
}

function loadedClaim(
  event: EventRows,
  claim: ClaimWrite,
  wantPosition: boolean,
): LoadedBatch['claims'][number] {
  const { kind, ...row } = claim
  if (kind === 'booking') return { ...row, kind }
  if (kind === 'waiting')
    return { ...row, kind, position: wantPosition ? positionOf(event, row.sequence) : null }
  const { heldAtMs, holdSeconds, expiresAtMs, endedAtMs, promoted } = event.bookings.get(
    row.sequence,
  ) as BookingRow & { heldAtMs: number; holdSeconds: number; expiresAtMs: number }
  return kind === 'lapsed'
    ? { ...row, kind, lapsedAtMs: endedAtMs as number }
    : { ...row, kind, heldAtMs, holdSeconds, expiresAtMs, offered: promoted }
}

/** Checks the CHECKs of `events`. */
function checked(row: EventRows['row']): EventRows['row'] {
  const { eventId, availableTickets, totalTickets, waitingCount, heldCount, canceledAtMs } = row
  if (availableTickets < 0 || availableTickets > totalTickets)
    throw new Error(`event ${eventId} is oversold`)
  if (heldCount < 0 || heldCount > totalTickets - availableTickets)
    throw new Error(`event ${eventId}: ${heldCount} tickets are held`)
  if (canceledAtMs !== null && availableTickets > 0)
    throw new Error(`event ${eventId} is canceled and has free tickets`)
  if (waitingCount < 0) throw new Error(`event ${eventId}: the waiting count is negative`)
  if (waitingCount > 0 && availableTickets > 0)
    throw new Error(`event ${eventId}: a ticket is free while entries wait`)
  return row
}

function claimOf({ kind, sequence }: ClaimWrite) {
  return { kind, sequence }
}

function insert<K, V>(table: Map<K, V>, key: K, row: V, name: string): void {
  if (table.has(key)) throw new Error(`${name} holds ${key} already`)
  table.set(key, row)
}

function update<K, V>(table: Map<K, V>, key: K, row: V, name: string): void {
  if (!table.has(key)) throw new Error(`${name} does not hold ${key}`)
  table.set(key, row)
}

function keyNameOf({ caller, keyHash }: Pick<Command, 'caller' | 'keyHash'>): string | undefined {
  return keyHash === undefined ? undefined : nameOf({ caller, keyHash })
}

function nameOf({ caller, keyHash }: { caller: string; keyHash: string }): string {
  return JSON.stringify([caller, keyHash])
}
