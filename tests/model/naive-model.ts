import type {
  CommandType,
  EventPatch,
  EventSettings,
  EventView,
  LoggedChange,
  LoggedChangeData,
  StoredOutcome,
} from '@ticket-line/shared'

type Outcome = Exclude<StoredOutcome, { outcome: 'abandoned' }>

/**
 * The rules of an event in their plainest form: what was ever made, in lists, one command after the
 * other, nothing loaded, nothing batched and nothing counted in advance. This is the second opinion
 * of the model tests, the simulation, the fault rig and the herd, so it shares no code with the
 * product. All times are ms since 1970.
 */
export interface NaiveEvent {
  readonly settings: Readonly<EventSettings>
  /** The size that the organizer wants. */
  readonly totalTickets: number
  /** Live bookings and holds, in order of `sequence`. */
  readonly tickets: NaiveClaim[]
  /** Those of `tickets` that are bookings. */
  readonly booked: NaiveClaim[]
  /** Live waiting-list entries, the head first. */
  readonly waiting: NaiveClaim[]
  /** Every booking, hold and waiting-list entry that was ever made, in order of `sequence`. */
  readonly made: NaiveClaim[]
  readonly canceledAtMs: number | null
  /** Everything that happened to the event, in order of decision, its creation first. */
  readonly log: readonly NaiveChange[]
  decide(request: NaiveRequest, nowMs: number, sender?: NaiveSender): Decision
  /** Whether the event sells at this time. */
  isOpen(nowMs: number): boolean
  /** The event as clients see it. */
  view(): EventView
  /** The earliest time from now on at which a settle would change something; infinite if none. */
  dueAtMs(nowMs: number): number
}

export interface NaiveClaim {
  userId: string
  kind: 'booking' | 'waiting'
  status:
    | 'confirmed'
    | 'held'
    | 'canceled'
    | 'expired'
    | 'waiting'
    | 'promoted'
    | 'withdrawn'
    | 'granted'
    | 'event_canceled'
  /** Number of the claim in its event. Bookings and waiting-list entries share one sequence. */
  sequence: number
  /** True for a booking or hold that came from the waiting list. */
  promoted: boolean
  /** True for a booking that staff gave. */
  granted: boolean
  /** Undefined if it was never a hold. */
  hold?: {
    heldAtMs: number
    seconds: number
    expiresAtMs: number
    /** True if the log says that it is about to lapse. */
    isReminded: boolean
  }
  /** When it ended; undefined while it is live. */
  endedAtMs?: number | undefined
}

/** A change in the log of an event. All of an event have consecutive numbers. */
export type NaiveChange = LoggedChange

/** The command that a request came with, and its caller; the actor is null for a settle. */
export type NaiveSender = Pick<LoggedChange, 'actor' | 'commandId'>

/** What a command asks for. Each type reads the members that it has. */
export interface NaiveRequest {
  type: CommandType
  userId: string
  bookingId?: string
  seconds?: number
  raiseCapacity?: boolean
  patch?: EventPatch
  ifVersion?: number
  shrink?: boolean
  /** Why an event is canceled. */
  reason?: string
}

/** An outcome without its time and without a reference to an earlier command. */
export type Decision = Omit<Outcome, 'decidedAtMs' | 'replayOf'>

const DAY_MS = 24 * 60 * 60 * 1000
const MOST_TICKETS = 1_000_000
/**
 * A settle adds at most 256 rows to the log of its event. The last one is for the event that is
 * sold out or available at the end.
 */
const PORTION = 255

const DEFAULTS: EventSettings = {
  totalTickets: 0,
  name: null,
  startsAtMs: null,
  endsAtMs: null,
  timezone: null,
  venue: null,
  url: null,
  listed: true,
  confirmation: 'holder',
  opensAtMs: null,
  closesAtMs: null,
  paused: false,
  promoting: true,
  holdSeconds: null,
  offerSeconds: null,
  maxHoldSeconds: null,
  maxWaiting: null,
}

const NOBODY: NaiveSender = { actor: null, commandId: null }

/** When a fifth of the time of a hold is left. */
function fifthLeftMs({ heldAtMs, expiresAtMs }: NonNullable<NaiveClaim['hold']>): number {
  return (4 * expiresAtMs + heldAtMs) / 5
}

/** @param lastSequence the last number that the event has used before */
export function createNaiveEvent(
  eventId: number,
  totalTickets: number,
  lastSequence = 0,
  initial: EventPatch = {},
): NaiveEvent {
  const settings: EventSettings = { ...DEFAULTS, ...initial, totalTickets }
  let version = 1
  let canceledAtMs: number | null = null
  const made: NaiveClaim[] = []
  const tickets: NaiveClaim[] = []
  const waiting: NaiveClaim[] = []
  /** What each user has, and holds that lapsed and that nothing has replaced. */
  const standing = new Map<string, NaiveClaim>()
  const log: NaiveChange[] = []
  /** What is decided now: its time, and the command. */
  let now: NaiveSender & { atMs: number } = { atMs: 0, ...NOBODY }

  function note(
    type: NaiveChange['type'],
    claim: NaiveClaim | null,
    data: LoggedChangeData | null = null,
  ): void {
    const { userId, sequence } = claim ?? { userId: null, sequence: null }
    log.push({ eventId, no: log.length + 1, type, userId, sequence, data, ...now })
  }

  /** Nobody gets a ticket past the waiting list, and as soon as nobody is on it all are free. */
  function freeTickets(): number {
    if (canceledAtMs !== null || waiting.length > 0) return 0
    return Math.max(0, settings.totalTickets - tickets.length)
  }

  function stateAt(nowMs: number): 'canceled' | 'closed' | 'scheduled' | 'paused' | 'open' {
    if (canceledAtMs !== null) return 'canceled'
    if (settings.closesAtMs !== null && nowMs >= settings.closesAtMs) return 'closed'
    if (settings.opensAtMs !== null && nowMs < settings.opensAtMs) return 'scheduled'
    return settings.paused ? 'paused' : 'open'
  }

  const mayPromote = (nowMs: number): boolean => stateAt(nowMs) === 'open' && settings.promoting

  const bookingIdOf = ({ sequence }: NaiveClaim): string => `${eventId}-${sequence}`

  function add(claim: Omit<NaiveClaim, 'sequence'>): NaiveClaim {
    const added = { ...claim, sequence: lastSequence + made.length + 1 }
    made.push(added)
    standing.set(claim.userId, added)
    if (claim.kind === 'booking') tickets.push(added)
    else waiting.push(added)
    return added
  }

  function addTicket(
    userId: string,
    holdSeconds: number | null,
    nowMs: number,
    how: { promoted?: true; granted?: true } = {},
  ): NaiveClaim {
    const ticket = { userId, kind: 'booking' as const, promoted: false, granted: false, ...how }
    if (holdSeconds === null) return add({ ...ticket, status: 'confirmed' })
    const expiresAtMs = nowMs + holdSeconds * 1000
    const hold = { heldAtMs: nowMs, seconds: holdSeconds, expiresAtMs, isReminded: false }
    return add({ ...ticket, status: 'held', hold })
  }

  function end(claim: NaiveClaim, status: NaiveClaim['status'], nowMs: number): void {
    const list = claim.kind === 'booking' ? tickets : waiting
    list.splice(list.indexOf(claim), 1)
    claim.status = status
    claim.endedAtMs = nowMs
    if (status !== 'expired') standing.delete(claim.userId)
  }

  function promoteHead(nowMs: number): NaiveClaim {
    const entry = waiting[0] as NaiveClaim
    end(entry, 'promoted', nowMs)
    const seconds = settings.offerSeconds ?? settings.holdSeconds
    const ticket = addTicket(entry.userId, seconds, nowMs, { promoted: true })
    note('waitlist.promoted', ticket, deadlineOf(ticket))
    return ticket
  }

  const deadlineOf = ({ hold }: NaiveClaim): LoggedChangeData | null =>
    hold === undefined ? null : { expiresAtMs: hold.expiresAtMs }

  function confirmHold(claim: NaiveClaim): void {
    claim.status = 'confirmed'
    note('booking.confirmed', claim, { origin: claim.promoted ? 'offer' : 'hold' })
  }

  /** A ticket has come back: it goes to the head of the list if the event still wants it. */
  function passOn(nowMs: number): NaiveClaim | undefined {
    const isWanted = tickets.length < settings.totalTickets
    return isWanted && waiting.length > 0 && mayPromote(nowMs) ? promoteHead(nowMs) : undefined
  }

  /** What the user has now. A hold that lapsed is nothing. */
  function claimOf(userId: string): NaiveClaim | undefined {
    const claim = standing.get(userId)
    return claim?.status === 'expired' ? undefined : claim
  }

  const alreadyWaiting = (claim: NaiveClaim): Decision => ({
    outcome: 'already_waiting',
    position: waiting.indexOf(claim) + 1,
  })

  function book({ userId }: NaiveRequest, nowMs: number): Decision {
    const claim = claimOf(userId)
    if (claim?.status === 'waiting') return alreadyWaiting(claim)
    if (claim?.status === 'confirmed')
      return { outcome: 'already_booked', bookingId: bookingIdOf(claim) }
    if (claim?.hold !== undefined) {
      const { expiresAtMs } = claim.hold
      return { outcome: 'already_held', bookingId: bookingIdOf(claim), expiresAtMs }
    }
    const state = stateAt(nowMs)
    if (state === 'closed') return { outcome: 'sales_closed' }
    if (state === 'paused') return { outcome: 'sales_paused' }
    if (state === 'scheduled')
      return { outcome: 'sales_not_open', opensAtMs: settings.opensAtMs as number }
    if (freeTickets() > 0) {
      const ticket = addTicket(userId, settings.holdSeconds, nowMs)
      const bookingId = bookingIdOf(ticket)
      note(
        ticket.hold === undefined ? 'booking.confirmed' : 'booking.held',
        ticket,
        deadlineOf(ticket),
      )
      return ticket.hold === undefined
        ? { outcome: 'booked', bookingId }
        : { outcome: 'held', bookingId, expiresAtMs: ticket.hold.expiresAtMs }
    }
    if (settings.maxWaiting === 0) return { outcome: 'sold_out' }
    if (settings.maxWaiting !== null && waiting.length >= settings.maxWaiting)
      return { outcome: 'waiting_list_full' }
    const kind = 'waiting'
    const entry = add({ userId, kind, status: 'waiting', promoted: false, granted: false })
    note('waitlist.joined', entry, { position: waiting.length })
    return { outcome: 'waiting', position: waiting.length }
  }

  function cancel({ userId, bookingId }: NaiveRequest, nowMs: number): Decision {
    const claim = claimOf(userId)
    if (claim === undefined) return { outcome: 'booking_not_found' }
    const isMeant = claim.kind === 'booking' && bookingId === bookingIdOf(claim)
    if (bookingId !== undefined && !isMeant) return { outcome: 'hold_expired' }
    if (claim.kind === 'waiting') {
      end(claim, 'withdrawn', nowMs)
      note('waitlist.left', claim)
      return { outcome: 'withdrawn' }
    }
    const outcome = claim.status === 'held' ? 'released' : 'canceled'
    end(claim, 'canceled', nowMs)
    note('booking.canceled', claim, outcome === 'released' ? { standing: 'held' } : null)
    const promoted = passOn(nowMs)
    const decision: Decision = { outcome, bookingId: bookingIdOf(claim) }
    return promoted === undefined ? decision : { ...decision, promotedUserId: promoted.userId }
  }

  /** The hold that lapsed less than a day ago and that the request means. */
  function lapsedHold({ userId, bookingId }: NaiveRequest, nowMs: number): NaiveClaim | undefined {
    const claim =
      bookingId === undefined
        ? standing.get(userId)
        : made.find((one) => one.userId === userId && bookingIdOf(one) === bookingId)
    if (claim?.status !== 'expired') return undefined
    return nowMs - (claim.endedAtMs as number) < DAY_MS ? claim : undefined
  }

  function confirm(request: NaiveRequest, nowMs: number): Decision {
    const { userId, bookingId } = request
    const claim = claimOf(userId)
    if (claim?.kind === 'waiting') return alreadyWaiting(claim)
    if (claim !== undefined) {
      if (bookingId !== undefined && bookingId !== bookingIdOf(claim))
        return { outcome: 'hold_expired' }
      if (claim.status === 'held') confirmHold(claim)
      return { outcome: 'confirmed', bookingId: bookingIdOf(claim) }
    }
    const lapsed = lapsedHold(request, nowMs)
    if (lapsed === undefined) return { outcome: 'booking_not_found' }
    if (freeTickets() === 0) return { outcome: 'hold_expired' }
    lapsed.status = 'confirmed'
    lapsed.endedAtMs = undefined
    standing.set(userId, lapsed)
    tickets.push(lapsed)
    tickets.sort((a, b) => a.sequence - b.sequence)
    note('booking.confirmed', lapsed, { origin: 'late' })
    return { outcome: 'confirmed', bookingId: bookingIdOf(lapsed) }
  }

  function extend(request: NaiveRequest, nowMs: number): Decision {
    const claim = claimOf(request.userId)
    if (claim === undefined) {
      const hasLapsed = lapsedHold(request, nowMs) !== undefined
      return { outcome: hasLapsed ? 'hold_expired' : 'booking_not_found' }
    }
    if (claim.kind === 'waiting') return alreadyWaiting(claim)
    const bookingId = bookingIdOf(claim)
    if (request.bookingId !== undefined && request.bookingId !== bookingId)
      return { outcome: 'hold_expired' }
    if (claim.status === 'confirmed') return { outcome: 'already_booked', bookingId }
    const hold = claim.hold as NonNullable<NaiveClaim['hold']>
    const asked = nowMs + (request.seconds ?? hold.seconds) * 1000
    const latest = hold.heldAtMs + (settings.maxHoldSeconds ?? 2 * hold.seconds) * 1000
    const expiresAtMs = Math.max(hold.expiresAtMs, Math.min(asked, latest))
    if (expiresAtMs === hold.expiresAtMs) return { outcome: 'hold_limit_reached' }
    hold.expiresAtMs = expiresAtMs
    hold.isReminded = false
    note('booking.extended', claim, { expiresAtMs })
    return { outcome: 'extended', bookingId, expiresAtMs }
  }

  function grant({ userId, raiseCapacity }: NaiveRequest, nowMs: number): Decision {
    const claim = claimOf(userId)
    if (claim?.status === 'confirmed')
      return { outcome: 'already_booked', bookingId: bookingIdOf(claim) }
    if (claim?.status === 'held') {
      confirmHold(claim)
      return { outcome: 'confirmed', bookingId: bookingIdOf(claim) }
    }
    // A ticket that is neither booked nor held is free or withheld.
    if (tickets.length >= settings.totalTickets) {
      if (raiseCapacity !== true || settings.totalTickets >= MOST_TICKETS)
        return { outcome: 'sold_out' }
      settings.totalTickets += 1
      version += 1
      note('event.updated', null, { settings: { totalTickets: settings.totalTickets } })
    }
    if (claim?.status === 'waiting') {
      end(claim, 'granted', nowMs)
      note('waitlist.left', claim, { reason: 'granted' })
    }
    const ticket = addTicket(userId, null, nowMs, { granted: true })
    note('booking.confirmed', ticket, { origin: 'grant' })
    return { outcome: 'booked', bookingId: bookingIdOf(ticket) }
  }

  function configure({ patch = {}, ifVersion, shrink }: NaiveRequest): Decision {
    if (ifVersion !== undefined && ifVersion !== version) return { outcome: 'version_mismatch' }
    const size = patch.totalTickets ?? settings.totalTickets
    const isNew = size !== settings.totalTickets
    if (isNew && size < tickets.length && shrink !== true)
      return { outcome: 'capacity_below_committed', committed: tickets.length }
    const before = { ...settings }
    Object.assign(settings, patch)
    const names = Object.keys(settings) as (keyof EventSettings)[]
    const changed = names.filter((name) => settings[name] !== before[name])
    if (changed.length > 0) {
      version += 1
      const updated = Object.fromEntries(changed.map((name) => [name, settings[name]]))
      note('event.updated', null, { settings: updated })
    }
    return { outcome: 'configured', event: view() }
  }

  /** Applies a portion of what has come due. */
  function settle(nowMs: number): Decision {
    const before = log.length
    // A step adds up to two rows.
    while (log.length - before + 2 <= PORTION && settleNext(nowMs));
    return { outcome: 'settled' }
  }

  /** @returns false if there is nothing more to settle */
  function settleNext(nowMs: number): boolean {
    if (canceledAtMs !== null) return endNext(nowMs)
    const due = nextToLapse()
    if (due?.hold !== undefined && due.hold.expiresAtMs <= nowMs) {
      end(due, 'expired', nowMs)
      note('booking.expired', due)
      passOn(nowMs)
      return true
    }
    const isWithheld = tickets.length < settings.totalTickets && waiting.length > 0
    if (isWithheld && mayPromote(nowMs)) {
      promoteHead(nowMs)
      return true
    }
    const ticket = nextToRemind()
    if (ticket?.hold === undefined || fifthLeftMs(ticket.hold) > nowMs) return false
    ticket.hold.isReminded = true
    note('booking.expiring', ticket, { expiresAtMs: ticket.hold.expiresAtMs })
    return true
  }

  /** Ends the claim with the lowest number of a canceled event. */
  function endNext(nowMs: number): boolean {
    const [first] = [...tickets, ...waiting].sort((a, b) => a.sequence - b.sequence)
    if (first === undefined) return false
    const { kind, status } = first
    const reason = 'event_canceled'
    end(first, 'event_canceled', nowMs)
    if (kind === 'waiting') note('waitlist.left', first, { reason })
    else
      note('booking.canceled', first, status === 'held' ? { standing: 'held', reason } : { reason })
    return true
  }

  function nextToLapse(): NaiveClaim | undefined {
    let next: NaiveClaim | undefined
    for (const ticket of tickets) {
      if (ticket.status !== 'held' || ticket.hold === undefined) continue
      if (next?.hold === undefined || ticket.hold.expiresAtMs < next.hold.expiresAtMs) next = ticket
    }
    return next
  }

  function nextToRemind(): NaiveClaim | undefined {
    let next: NaiveClaim | undefined
    for (const ticket of tickets) {
      if (ticket.status !== 'held' || ticket.hold === undefined || ticket.hold.isReminded) continue
      if (next?.hold === undefined || fifthLeftMs(ticket.hold) < fifthLeftMs(next.hold))
        next = ticket
    }
    return next
  }

  function dueAtMs(nowMs: number): number {
    if (canceledAtMs !== null)
      return tickets.length + waiting.length > 0 ? nowMs : Number.POSITIVE_INFINITY
    const lapseMs = nextToLapse()?.hold?.expiresAtMs ?? Number.POSITIVE_INFINITY
    const isWithheld = tickets.length < settings.totalTickets && waiting.length > 0
    const opensMs = Math.max(nowMs, settings.opensAtMs ?? nowMs)
    const promoteMs = isWithheld && mayPromote(opensMs) ? opensMs : Number.POSITIVE_INFINITY
    const hold = nextToRemind()?.hold
    const remindMs = hold === undefined ? Number.POSITIVE_INFINITY : Math.ceil(fifthLeftMs(hold))
    return Math.max(nowMs, Math.min(lapseMs, promoteMs, remindMs))
  }

  function view(): EventView {
    const free = freeTickets()
    return {
      eventId,
      ...settings,
      version,
      owner: null,
      canceledAtMs,
      availableTickets: free,
      heldTickets: tickets.filter(({ status }) => status === 'held').length,
      withheldTickets: Math.max(0, settings.totalTickets - tickets.length - free),
      waitingListCount: waiting.length,
    }
  }

  function decide(request: NaiveRequest, nowMs: number, sender = NOBODY): Decision {
    now = { atMs: nowMs, ...sender }
    const wasFree = freeTickets() > 0
    const decision = decideNow(request, nowMs)
    const isFree = freeTickets() > 0
    if (canceledAtMs === null && wasFree !== isFree)
      note(isFree ? 'event.available' : 'event.sold_out', null)
    return decision
  }

  function decideNow(request: NaiveRequest, nowMs: number): Decision {
    if (request.type === 'settle') return settle(nowMs)
    if (request.type === 'cancel_event') {
      if (canceledAtMs !== null) return { outcome: 'event_ended' }
      canceledAtMs = nowMs
      const { reason } = request
      note('event.canceled', null, reason === undefined ? null : { reason })
      return { outcome: 'event_ended' }
    }
    if (canceledAtMs !== null) return { outcome: 'event_canceled' }
    switch (request.type) {
      case 'book':
        return book(request, nowMs)
      case 'cancel':
        return cancel(request, nowMs)
      case 'confirm':
        return confirm(request, nowMs)
      case 'extend':
        return extend(request, nowMs)
      case 'grant':
        return grant(request, nowMs)
      case 'configure':
        return configure(request)
    }
  }

  note('event.created', null, { settings: { ...settings } })

  return {
    settings,
    get totalTickets() {
      return settings.totalTickets
    },
    tickets,
    get booked() {
      return tickets.filter(({ status }) => status === 'confirmed')
    },
    waiting,
    made,
    get canceledAtMs() {
      return canceledAtMs
    },
    log,
    decide,
    isOpen: (nowMs) => stateAt(nowMs) === 'open',
    view,
    dueAtMs,
  }
}

/** Several events, with the rules about idempotency keys and about commands that are sent twice. */
export interface NaiveModel {
  events: ReadonlyMap<number, NaiveEvent>
  /** The outcome of every command so far, by command id. */
  outcomes: Map<string, StoredOutcome>
  /**
   * Decides a command. A command that has an outcome keeps it.
   * @param acceptedAtMs when the API accepted the request; a key's 24 hours are counted by this
   * time
   */
  decide(command: NaiveCommand, nowMs: number, acceptedAtMs?: number): StoredOutcome
  /** Records a command as abandoned by the API. If it has no outcome yet, it has no effect. */
  abandon(command: NaiveCommand, nowMs: number): void
  /** Records a command that killed its workers. It has no effect, but it takes its key. */
  reject(command: NaiveCommand, nowMs: number, acceptedAtMs?: number): void
}

export interface NaiveCommand extends NaiveRequest {
  commandId: string
  eventId: number
  caller: string
  keyHash?: string
}

export function createNaiveModel(events: ReadonlyMap<number, NaiveEvent>): NaiveModel {
  const outcomes: NaiveModel['outcomes'] = new Map()
  /** The command that took a key last. */
  const owners = new Map<
    string,
    { command: NaiveCommand; outcome: Outcome; acceptedAtMs: number }
  >()

  const nameOf = ({ caller, keyHash }: NaiveCommand): string => JSON.stringify([caller, keyHash])

  function decideNew(command: NaiveCommand, decidedAtMs: number): Outcome {
    const event = events.get(command.eventId)
    if (event === undefined) return { outcome: 'event_not_found', decidedAtMs }
    const { type, caller, commandId } = command
    const sender = { actor: type === 'settle' ? null : caller, commandId }
    return { ...event.decide(command, decidedAtMs, sender), decidedAtMs }
  }

  /** The command that owns the key at the time when this one was accepted. */
  function ownerOf(command: NaiveCommand, acceptedAtMs: number) {
    const owner = owners.get(nameOf(command))
    return owner !== undefined && acceptedAtMs - owner.acceptedAtMs < DAY_MS ? owner : undefined
  }

  function decideWithKey(command: NaiveCommand, nowMs: number, acceptedAtMs: number): Outcome {
    const owner = ownerOf(command, acceptedAtMs)
    if (owner === undefined) {
      const outcome = decideNew(command, nowMs)
      // Who came too early may send the same request again.
      if (outcome.outcome !== 'sales_not_open' && outcome.outcome !== 'sales_paused')
        owners.set(nameOf(command), { command, outcome, acceptedAtMs })
      return outcome
    }
    if (askedBy(owner.command) === askedBy(command))
      return { ...owner.outcome, replayOf: owner.command.commandId }
    return { outcome: 'idempotency_key_reused', decidedAtMs: nowMs }
  }

  return {
    events,
    outcomes,
    decide(command, nowMs, acceptedAtMs = nowMs) {
      const known = outcomes.get(command.commandId)
      if (known !== undefined) return known
      const outcome =
        command.keyHash === undefined
          ? decideNew(command, nowMs)
          : decideWithKey(command, nowMs, acceptedAtMs)
      outcomes.set(command.commandId, outcome)
      return outcome
    },
    abandon(command, nowMs) {
      if (!outcomes.has(command.commandId))
        outcomes.set(command.commandId, { outcome: 'abandoned', decidedAtMs: nowMs })
    },
    reject(command, nowMs, acceptedAtMs = nowMs) {
      const outcome: Outcome = { outcome: 'rejected', decidedAtMs: nowMs }
      outcomes.set(command.commandId, outcome)
      if (command.keyHash !== undefined && ownerOf(command, acceptedAtMs) === undefined)
        owners.set(nameOf(command), { command, outcome, acceptedAtMs })
    },
  }
}

/** Everything that a request asks for, in a form that can be compared. */
function askedBy(command: NaiveCommand): string {
  const { type, eventId, userId, bookingId, seconds } = command
  const { raiseCapacity, patch, ifVersion, shrink, reason } = command
  const more = [bookingId, seconds, raiseCapacity, patch, ifVersion, shrink, reason]
  return JSON.stringify([type, eventId, userId, ...more])
}

/** How an event begins. */
export type NaiveStart = number | { totalTickets: number; settings: EventPatch }

/** Events 1, 2, … that begin with these sizes and settings. */
export function createNaiveEvents(
  starts: readonly NaiveStart[],
  lastSequence = 0,
): Map<number, NaiveEvent> {
  return new Map(
    starts.map((start, i) => {
      const { totalTickets, settings } =
        typeof start === 'number' ? { totalTickets: start, settings: {} } : start
      return [i + 1, createNaiveEvent(i + 1, totalTickets, lastSequence, settings)]
    }),
  )
}
