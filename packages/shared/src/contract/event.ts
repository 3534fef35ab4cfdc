/** Details of an event. No decision of the line depends on them. */
export interface EventDetails {
  name: string | null
  /** Ms since 1970, as in all members of this file that end in `Ms`. */
  startsAtMs: number | null
  endsAtMs: number | null
  /** IANA name, for example `Europe/Berlin`. */
  timezone: string | null
  venue: string | null
  url: string | null
  /** True if `GET /events` shows the event to everybody. */
  listed: boolean
  /** Who may confirm a hold. Events with payment use `staff`, so that the holder may not. */
  confirmation: 'holder' | 'staff'
}

/** The settings that decide what a command of the event may do. */
export interface SaleRules {
  /** Before this time nothing is sold; null if there is no such time. */
  opensAtMs: number | null
  /** From this time on nothing is sold; null if there is no such time. */
  closesAtMs: number | null
  paused: boolean
  /** False if tickets that come back are withheld from the waiting list. */
  promoting: boolean
  /** How long `/book` holds a ticket until it must be confirmed; null if it books at once. */
  holdSeconds: number | null
  /** How long an offer to the waiting list lasts; null means `holdSeconds`. */
  offerSeconds: number | null
  /** How long a hold may last with all its extensions; null means twice its first length. */
  maxHoldSeconds: number | null
  /** Maximum number of waiting-list entries; null if there is no limit. */
  maxWaiting: number | null
}

/** Everything that staff may set. */
export interface EventSettings extends EventDetails, SaleRules {
  /** The size that the organizer wants, in tickets. */
  totalTickets: number
}

/** The settings that a `configure` command changes. */
export type EventPatch = Partial<EventSettings>

/** Rules under which an event is open, books at once and promotes at once. */
export const DEFAULT_SALE_RULES: SaleRules = {
  opensAtMs: null,
  closesAtMs: null,
  paused: false,
  promoting: true,
  holdSeconds: null,
  offerSeconds: null,
  maxHoldSeconds: null,
  maxWaiting: null,
}

/** The rules among the members of an object. */
export function saleRulesOf(rules: SaleRules): SaleRules {
  const names = Object.keys(DEFAULT_SALE_RULES) as (keyof SaleRules)[]
  return Object.fromEntries(names.map((name) => [name, rules[name]])) as unknown as SaleRules
}

export const DEFAULT_EVENT_DETAILS: EventDetails = {
  name: null,
  startsAtMs: null,
  endsAtMs: null,
  timezone: null,
  venue: null,
  url: null,
  listed: true,
  confirmation: 'holder',
}

/** A setting with the name and the value that it has in the HTTP API. */
export type ShownSettings = Record<string, string | number | boolean | null>

/** Settings with the names and values that they have in the HTTP API. Times are ISO 8601. */
export function shownSettingsOf(settings: EventPatch): ShownSettings {
  const shown: ShownSettings = {}
  for (const [name, value] of Object.entries(settings)) {
    if (name === 'paused') shown['sales'] = value === true ? 'paused' : 'open'
    else if (name === 'promoting') shown['promotion'] = value === true ? 'on' : 'off'
    else if (name.endsWith('Ms')) {
      // PostgreSQL computes times in floats, which are not whole milliseconds.
      const time = value === null ? null : new Date(Math.round(Number(value))).toISOString()
      shown[name.slice(0, -'Ms'.length)] = time
    } else shown[name] = value
  }
  return shown
}

/**
 * The form of a name that searches compare, so that they ignore case. It is upper case, because the
 * lower case of a letter can depend on the letters beside it.
 */
export function nameKeyOf(name: string): string {
  return name.normalize('NFC').toUpperCase()
}

/** An event as clients see it. */
export interface EventView extends EventSettings {
  eventId: number
  /** Counts the changes of settings, from 1. */
  version: number
  /** Null if the caller was not staff, or if the event was created before events had owners. */
  owner: string | null
  canceledAtMs: number | null
  availableTickets: number
  heldTickets: number
  /** Tickets that are neither booked, held nor free. */
  withheldTickets: number
  waitingListCount: number
}

/** Whether an event sells tickets. */
export type SaleState = 'canceled' | 'closed' | 'scheduled' | 'paused' | 'open'

/** The members of an event that its {@link SaleState} depends on. */
export type SaleWindow = Pick<EventView, 'canceledAtMs' | 'opensAtMs' | 'closesAtMs' | 'paused'>

/**
 * The state of an event's sale at a time. It depends on nothing but the settings and the time, so
 * no timer has to change it.
 */
export function saleStateOf(event: SaleWindow, nowMs: number): SaleState {
  if (event.canceledAtMs !== null) return 'canceled'
  if (event.closesAtMs !== null && nowMs >= event.closesAtMs) return 'closed'
  if (event.opensAtMs !== null && nowMs < event.opensAtMs) return 'scheduled'
  return event.paused ? 'paused' : 'open'
}
