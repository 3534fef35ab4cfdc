import {
  type Pool,
  readPlainEvents,
  readSales,
  type Sale,
  type SaleQuestion,
} from '@ticket-line/db'
import { STORE_JOB_MS } from '@ticket-line/line/client'
import {
  type Clock,
  createLoader,
  type Outcome,
  type OutcomeKind,
  saleStateOf,
  systemClock,
  withDeadline,
} from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { PostgresAccess } from '../http/postgres-access.js'
import { throwUnavailable, unavailable } from '../http/problem.js'

/** How long a process trusts what it read about an event that is not plain, ms. */
const TRUSTED_MS = 1000
/**
 * The same for a plain event. A booking of such an event waits for no read, and if the event is
 * changed meanwhile, the line decides by its row. The first outcome that a plain event cannot have
 * ends the trust.
 */
const PLAIN_TRUSTED_MS = 600_000
/** After this time, the next request starts a new read that no request waits for, ms. */
const REFRESH_AFTER_MS = 500
/** How many events a process reads ahead when it meets a plain event that it does not know. */
const READ_AHEAD = 1000
/** Pause between two of these reads, ms. They run one at a time. */
const READ_AHEAD_PAUSE_MS = 100

/** What a process remembers of an event. */
export interface KnownSale {
  isOpen: boolean
  isPlain: boolean
}

/**
 * What the API knows of the sale of an event before a command enters the line. The line decides
 * everything; this only keeps early requests out of it. So what is remembered may let a command
 * into the line, but only rows that were read after its request arrived may refuse it. Otherwise a
 * process could refuse a booking because of settings that an earlier request has changed.
 */
export interface Sales {
  /**
   * What this process knows about an event. The caller waits for no query.
   *
   * @returns undefined if it read nothing, or too long ago, or there was no such event
   */
  recall(eventId: number): KnownSale | undefined
  /**
   * Reads the rows that a question asks about. Questions that arrive before a query starts share
   * it, so hundreds of early requests cost a few queries.
   *
   * @param withinMs the rest of the time that a command has for its reads, ms
   * @returns undefined if there is no such event
   * @throws AppError `unavailable` within that time
   */
  read(question: SaleQuestion, withinMs?: number): Promise<Sale | undefined>
  /** Called with every outcome. It may show that the event is not as this process knows it. */
  learn(eventId: number, outcome: OutcomeKind): void
}

interface RememberedSale extends KnownSale {
  /** When the read was requested, by the monotonic clock, ms. */
  readAtMs: number
  isRefreshing: boolean
}

export interface SalesDeps {
  pool: Pool
  postgres: PostgresAccess
  /** Most events that this process remembers. */
  knownEvents: number
  clock?: Clock
}

export function createSales({
  pool,
  postgres,
  knownEvents,
  clock = systemClock,
}: SalesDeps): Sales {
  const known = new LRUCache<number, RememberedSale>({ max: knownEvents })
  const load = createLoader({
    query: (questions: SaleQuestion[]) => readSales(pool, questions),
    // The read uses time that the command would have for storing its job.
    timeoutMs: Math.min(postgres.timeoutMs, STORE_JOB_MS),
    onTimeout: throwUnavailable,
  })

  /** Infinite while one is running. */
  let nextReadAheadAtMs = Number.NEGATIVE_INFINITY

  const ageOf = (sale: RememberedSale): number => clock.steadyMs() - sale.readAtMs
  const hasExpired = (sale: RememberedSale): boolean =>
    ageOf(sale) >= (sale.isPlain ? PLAIN_TRUSTED_MS : TRUSTED_MS)

  async function read(question: SaleQuestion, withinMs = STORE_JOB_MS): Promise<Sale | undefined> {
    if (!postgres.availability.postgres()) throw unavailable()
    const readAtMs = clock.steadyMs()
    const reading = load(question)
    const sale = await (withinMs < STORE_JOB_MS
      ? withDeadline(reading, withinMs, throwUnavailable)
      : reading)
    if (sale === undefined) {
      known.delete(question.eventId)
      return undefined
    }
    const isOpen = saleStateOf(sale, sale.nowMs) === 'open'
    const before = known.peek(question.eventId)
    if (sale.isPlain && (before === undefined || hasExpired(before))) readAhead(question.eventId)
    known.set(question.eventId, { isOpen, isPlain: sale.isPlain, readAtMs, isRefreshing: false })
    return sale
  }

  /**
   * Remembers which of the next events are plain, so that their first bookings need no read. For a
   * booking of a quiet event, that read is a quarter of the response time. No request waits for
   * this one.
   */
  function readAhead(eventId: number): void {
    const readAtMs = clock.steadyMs()
    if (readAtMs < nextReadAheadAtMs) return
    nextReadAheadAtMs = Number.POSITIVE_INFINITY
    readPlainEvents(pool, eventId, Math.min(READ_AHEAD, Math.ceil(knownEvents / 2)))
      .then((eventIds) => {
        for (const id of eventIds)
          if (known.peek(id)?.isPlain ?? true)
            known.set(id, { isOpen: true, isPlain: true, readAtMs, isRefreshing: false })
      })
      // If it fails, each event is read when it is booked.
      .catch(() => undefined)
      .finally(() => {
        nextReadAheadAtMs = clock.steadyMs() + READ_AHEAD_PAUSE_MS
      })
  }

  function recall(eventId: number): KnownSale | undefined {
    const sale = known.get(eventId)
    if (sale === undefined || hasExpired(sale)) return undefined
    if (!sale.isPlain && ageOf(sale) >= REFRESH_AFTER_MS && sale.isOpen && !sale.isRefreshing) {
      sale.isRefreshing = true
      // If it fails, the next request after `TRUSTED_MS` reads again and gets the error.
      read({ eventId }).catch(() => undefined)
    }
    return sale
  }

  return {
    recall,
    read,
    learn(eventId, outcome) {
      if (PLAIN_OUTCOMES.has(outcome)) return
      const isPlain = known.peek(eventId)?.isPlain ?? false
      if (isPlain || !OPEN_OUTCOMES.has(outcome)) known.delete(eventId)
    },
  }
}

/** The outcomes that a command of a plain event can have. */
const PLAIN_OUTCOMES: ReadonlySet<OutcomeKind> = new Set([
  'booked',
  'waiting',
  'canceled',
  'withdrawn',
  'already_booked',
  'already_waiting',
  'booking_not_found',
  'idempotency_key_reused',
  'rejected',
])

/** The other outcomes that do not end what is remembered of an event that is not plain. */
const OPEN_OUTCOMES: ReadonlySet<OutcomeKind> = new Set([
  'held',
  'confirmed',
  'extended',
  'released',
  'already_held',
  'hold_expired',
  'hold_limit_reached',
  'sold_out',
  'waiting_list_full',
])

/** The outcomes of bookings that the API refuses before they enter the line. */
export const EARLY_REFUSALS = [
  'sales_not_open',
  'sales_paused',
  'sales_closed',
  'event_canceled',
] as const satisfies readonly OutcomeKind[]

export interface EarlyRefusal extends Outcome {
  outcome: (typeof EARLY_REFUSALS)[number]
}

/**
 * The refusal of a booking outside the sale.
 *
 * A user who has a claim is not refused: the line's answer says what the user has. A request whose
 * idempotency key was used is not refused either: the line repeats the first answer. `sales_closed`
 * and `event_canceled` use up a key, so a request with a key gets these refusals from the line.
 *
 * @returns undefined if the booking may enter the line
 */
export function refusalOf(sale: Sale, hasKey: boolean): EarlyRefusal | undefined {
  const decidedAtMs = sale.nowMs
  if (sale.hasKey) return undefined
  const state = saleStateOf(sale, sale.nowMs)
  if (state === 'canceled') return hasKey ? undefined : { outcome: 'event_canceled', decidedAtMs }
  if (sale.hasClaim) return undefined
  switch (state) {
    case 'open':
      return undefined
    case 'closed':
      return hasKey ? undefined : { outcome: 'sales_closed', decidedAtMs }
    case 'scheduled':
      return { outcome: 'sales_not_open', opensAtMs: sale.opensAtMs as number, decidedAtMs }
    case 'paused':
      return { outcome: 'sales_paused', decidedAtMs }
  }
}
