import { nameKeyOf, type Role, type SaleState, saleStateOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { isInState } from '../events/sale-state.js'
import { type EventStatus, STATUS_COLUMNS, type StatusRow, statusOfRow } from '../events/status.js'
import { msColumns, NOW_MS, timeOfUs, usOf } from '../sql-times.js'

/** An event in a list. */
export interface ListedEvent extends EventStatus {
  name: string | null
  /** Ms since 1970. */
  startsAtMs: number | null
  /** By PostgreSQL's clock. */
  state: SaleState
  /** The cursor of this event in a list ordered by start. */
  place: EventPlace
}

/** The start in µs since 1970, as decimal digits, and the id. An event without a start is last. */
export interface EventPlace {
  startsAtUs: string | null
  eventId: number
}

export type EventOrder = 'eventId' | 'startsAt' | '-startsAt'

export interface EventFilter {
  /** The states that are listed; undefined for all. */
  states: readonly SaleState[] | undefined
  /** The beginning of the name, whatever its case; empty for all events. */
  namePrefix: string
  /** Lists only events that start later, ms since 1970. */
  startsAfterMs: number | undefined
  /**
   * Lists the events of which this person is staff, including unlisted ones; undefined for all
   * listed events.
   */
  staff: EventListStaff | undefined
  order: EventOrder
  /** The last event of the page before; undefined for the first page. */
  after: EventPlace | undefined
  limit: number
}

/** An organizer or admin whose events are listed. */
export interface EventListStaff {
  userId: string
  role: Exclude<Role, 'user'>
  /** Lists no other events than these; undefined for all. */
  eventIds?: readonly number[] | undefined
}

interface ListRow extends StatusRow {
  name: string | null
  starts_at: number | null
  starts_us: string | null
  canceled_at: number | null
  opens_at: number | null
  closes_at: number | null
  paused: boolean
  now_ms: number
}

const COLUMNS = `${STATUS_COLUMNS}, name, paused, ${NOW_MS}, ${usOf('starts_at')} AS starts_us,
  ${msColumns('starts_at', 'canceled_at', 'opens_at', 'closes_at')}`

/**
 * Reads a page of events. The query has no name, so that PostgreSQL plans it for the filters that
 * are sent and for the present size of the tables.
 */
export async function pageEvents(pool: Pool, filter: EventFilter): Promise<ListedEvent[]> {
  const values: unknown[] = []
  const bind = (value: unknown): string => `$${values.push(value)}`
  const text = textOf(filter, bind)
  const { rows } = await pool.query<ListRow>({ text, values })
  return rows.map(listedOfRow)
}

type Bind = (value: unknown) => string

function textOf(filter: EventFilter, bind: Bind): string {
  const { order, after } = filter
  const conditions = conditionsOf(filter, bind)
  const sources = filter.staff === undefined ? ['true'] : sourcesOf(filter.staff, bind)
  const limit = bind(filter.limit)
  const select = (more: string[], rowOrder: string, order: string, columns = COLUMNS): string =>
    merge(
      sources.map((source) => {
        const where = [source, ...conditions, ...more].join(' AND ')
        return `SELECT ${columns} FROM events WHERE ${where} ORDER BY ${rowOrder} LIMIT ${limit}`
      }),
      order,
    )
  const merge = (parts: string[], order: string): string =>
    parts.length === 1
      ? (parts[0] as string)
      : `SELECT * FROM ((${parts.join(') UNION ALL (')})) AS parts ORDER BY ${order} LIMIT ${limit}`
  const afterId = after === undefined ? undefined : bind(after.eventId)
  if (order === 'eventId')
    return select(
      [afterId === undefined ? 'true' : `event_id > ${afterId}`],
      'event_id',
      'event_id',
    )

  // Events without a start come last in both orders, so they are read separately.
  const [than, direction] = order === 'startsAt' ? ['>', 'ASC'] : ['<', 'DESC']
  const afterUs = after?.startsAtUs ?? undefined
  const dated = (): string =>
    select(
      [
        'starts_at IS NOT NULL',
        afterUs === undefined
          ? 'true'
          : `(starts_at, event_id) ${than} (${timeOfUs(bind(afterUs))}, ${afterId}::bigint)`,
      ],
      `events.starts_at ${direction}, event_id ${direction}`,
      `start ${direction}, event_id ${direction}`,
      `${COLUMNS}, events.starts_at AS start`,
    )
  const undated = (): string =>
    select(
      [
        'starts_at IS NULL',
        afterId === undefined || afterUs !== undefined ? 'true' : `event_id ${than} ${afterId}`,
      ],
      `event_id ${direction}`,
      `event_id ${direction}`,
      `${COLUMNS}, NULL::timestamptz AS start`,
    )
  if (after !== undefined && afterUs === undefined) return undated()
  if (filter.startsAfterMs !== undefined) return dated()
  return merge([dated(), undated()], `start ${direction} NULLS LAST, event_id ${direction}`)
}

/**
 * Conditions of which each event of this person meets exactly one. They are read separately, so
 * that PostgreSQL uses an index for each, however many events others have.
 */
function sourcesOf({ userId, role, eventIds }: EventListStaff, bind: Bind): string[] {
  const among = eventIds === undefined ? 'true' : `event_id = ANY (${bind(eventIds)}::bigint[])`
  if (role === 'admin') return [among]
  const user = `${bind(userId)}::text`
  return [
    `owner = ${user}`,
    'owner IS NULL AND shared',
    `event_id IN (SELECT o.event_id FROM event_organizers o WHERE o.user_id = ${user})
      AND owner IS DISTINCT FROM ${user} AND NOT (owner IS NULL AND shared)`,
  ].map((source) => `${source} AND ${among}`)
}

function conditionsOf({ states, namePrefix, startsAfterMs, staff }: EventFilter, bind: Bind) {
  const conditions: string[] = []
  if (staff === undefined) conditions.push('listed')
  if (states !== undefined)
    conditions.push(`(${states.map((state) => `(${isInState(state, 'now()')})`).join(' OR ')})`)
  if (namePrefix !== '') conditions.push(`starts_with(name_key, ${bind(nameKeyOf(namePrefix))})`)
  if (startsAfterMs !== undefined)
    conditions.push(`starts_at > ${timeOfUs(bind(startsAfterMs * 1000))}`)
  return conditions
}

function listedOfRow(row: ListRow): ListedEvent {
  const status = statusOfRow(row)
  const window = {
    canceledAtMs: row.canceled_at,
    opensAtMs: row.opens_at,
    closesAtMs: row.closes_at,
    paused: row.paused,
  }
  return {
    ...status,
    name: row.name,
    startsAtMs: row.starts_at,
    state: saleStateOf(window, row.now_ms),
    place: { startsAtUs: row.starts_us, eventId: status.eventId },
  }
}
