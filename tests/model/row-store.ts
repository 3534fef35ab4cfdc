import type { EventState } from '@ticket-line/booking-worker/booking'
import type {
  BatchWrites,
  BookedTicket,
  ClaimKind,
  EventRow,
  LoadedBatch,
  LoadRequest,
} from '@ticket-line/db'
import { eventRow } from '@ticket-line/db/testing'
import {
  type AcceptedCommand,
  type Command,
  jobIdOf,
  type Outcome,
  type StoredOutcome,
} from '@ticket-line/shared'

/**
 * The tables of the line in memory. Reads and writes have the meaning of the statements in
 * `packages/db/src/line`, with the same errors: a row that exists already, a row that is missing, a
 * violated CHECK. Batches are loaded only from these rows, so a wrong row shows in a later decision
 * or in the next check of the promises.
 */
export interface RowStore {
  events: Map<number, EventRows>
  commands: Map<string, CommandRow>
  keys: Map<string, { commandId: string; acceptedAtMs: number }>
  load(request: LoadRequest, nowMs: number): LoadedBatch
  /** The first idempotency key that the writes would take although another command owns it. */
  takenKeyOf(writes: BatchWrites): string | undefined
  apply(writes: BatchWrites): void
  /** `LineStore.bookFree`, for events that no transaction has locked. */
  bookFree(bookings: readonly AcceptedCommand[], nowMs: number): Map<string, BookedTicket>
  /** `CommandStore.recordAbandoned`. */
  abandon(commands: readonly Command[], nowMs: number): void
}

export interface EventRows {
  row: EventRow
  claims: Map<string, { kind: ClaimKind; sequence: number }>
  bookings: Map<number, { userId: string; promoted: boolean; status: 'confirmed' | 'canceled' }>
  entries: Map<number, { userId: string; status: 'waiting' | 'promoted' | 'withdrawn' }>
  blocks: Map<number, number>
}

export interface CommandRow {
  command: Command
  outcome: StoredOutcome
}

const DAY_MS = 24 * 3_600_000
const BLOCK_SIZE = 1024

/**
 * @param sizes tickets of event 1, 2, …
 * @param lastSequence the last sequence number that each event has used before
 */
export function createRowStore(sizes: number[], lastSequence: number): RowStore {
  const events = new Map(
    sizes.map((totalTickets, i) => [i + 1, emptyEvent(i + 1, totalTickets, lastSequence)]),
  )
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
      const isWanted = claim.kind === 'waiting' && wantPosition
      const position = isWanted ? positionOf(event, claim.sequence) : null
      loaded.claims.push({ eventId, userId, ...claim, position })
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
      const { acceptedAtMs } = held
      const { commandId, type, eventId, userId, caller } = command
      loaded.keys.push({
        command: { commandId, type, eventId, userId, caller },
        keyHash: key.keyHash,
        acceptedAtMs,
        outcome: outcome as Outcome,
      })
    }
    return loaded
  }

  function apply(writes: BatchWrites): void {
    const taken = takenKeyOf(writes)
    if (taken !== undefined) throw new Error(`the key ${taken} is held`)
    for (const { command, ownsKey } of writes.decided) {
      if (!ownsKey) continue
      const { commandId, acceptedAtMs } = command
      const name = nameOf({ caller: command.caller, keyHash: command.keyHash as string })
      keys.set(name, { commandId, acceptedAtMs })
    }
    for (const row of writes.events) eventOf(row).row = checked(rowOf(row))
    for (const row of writes.claimsAdded)
      insert(eventOf(row).claims, row.userId, claimOf(row), 'claims')
    for (const row of writes.claimsMoved)
      update(eventOf(row).claims, row.userId, claimOf(row), 'claims')
    for (const row of writes.claimsRemoved)
      if (!eventOf(row).claims.delete(row.userId))
        throw new Error(`no claim of ${row.userId} to remove`)
    for (const { eventId, sequence, userId, promoted, canceled } of writes.bookingsAdded) {
      const status = canceled ? 'canceled' : 'confirmed'
      insert(eventOf({ eventId }).bookings, sequence, { userId, promoted, status }, 'bookings')
    }
    for (const row of writes.bookingsCanceled) {
      const booking = eventOf(row).bookings.get(row.sequence)
      if (booking?.status !== 'confirmed')
        throw new Error(`booking ${row.sequence} is not confirmed`)
      booking.status = 'canceled'
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
    for (const { command, outcome } of writes.decided) insertCommand({ command, outcome })
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
      if (event.claims.has(userId) || commands.has(commandId)) continue
      const key = keyNameOf(booking)
      if (key !== undefined && keys.has(key)) continue
      const { row } = event
      const sequence = row.lastSequence + 1
      event.row = checked({
        ...row,
        availableTickets: row.availableTickets - 1,
        lastSequence: sequence,
      })
      insert(event.claims, userId, { kind: 'booking', sequence }, 'claims')
      insert(event.bookings, sequence, { userId, promoted: false, status: 'confirmed' }, 'bookings')
      const bookingId = `${eventId}-${sequence}`
      insertCommand({
        command: booking,
        outcome: { outcome: 'booked', bookingId, decidedAtMs: nowMs },
      })
      if (key !== undefined) keys.set(key, { commandId, acceptedAtMs })
      booked.set(commandId, { sequence, decidedAtMs: nowMs })
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
  }
}

function emptyEvent(eventId: number, totalTickets: number, lastSequence: number): EventRows {
  return {
    row: eventRow({ eventId, totalTickets, availableTickets: totalTickets, lastSequence }),
    claims: new Map(),
    bookings: new Map(),
    entries: new Map(),
    blocks: new Map(),
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
  const { claims, heads, headsComplete, nextHead, departed, joinedPosition, ...row } =
    state as EventState
  return row
}

/** Checks the CHECKs of `events`. */
function checked(row: EventRows['row']): EventRows['row'] {
  const { eventId, availableTickets, totalTickets, waitingCount } = row
  if (availableTickets < 0 || availableTickets > totalTickets)
    throw new Error(`event ${eventId} is oversold`)
  if (waitingCount < 0) throw new Error(`event ${eventId}: the waiting count is negative`)
  if (waitingCount > 0 && availableTickets > 0)
    throw new Error(`event ${eventId}: a ticket is free while entries wait`)
  return row
}

function claimOf({ kind, sequence }: BatchWrites['claimsAdded'][number]) {
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
