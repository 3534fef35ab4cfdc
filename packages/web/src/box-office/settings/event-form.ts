import type { components, TicketedEvent } from '@ticket-line/client'
import { isTimeZone } from '../../format.js'
import { instantOf, wallTimeOf } from './zoned-time.js'

export type EventPatch = components['schemas']['EventPatch']
export type NewEvent = components['schemas']['NewEvent']

/** A length of time as it is typed. An empty amount means that the setting is not used. */
export interface Duration {
  amount: string
  unit: DurationUnit
}

const SECONDS_PER_UNIT = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 } as const

export type DurationUnit = keyof typeof SECONDS_PER_UNIT

export const DURATION_UNITS = Object.keys(SECONDS_PER_UNIT) as DurationUnit[]

/** What the form of an event holds. Empty texts are settings that are not used. */
export interface EventForm {
  name: string
  venue: string
  url: string
  /** An IANA name. Without one, the times are in the visitor's time zone. */
  timezone: string
  /** The four times are wall-clock times at the place of the event. */
  startsAt: string
  endsAt: string
  opensAt: string
  closesAt: string
  listed: boolean
  totalTickets: string
  /** Whether a size below the number of booked and held tickets is intended. It is not stored. */
  shrink: boolean
  sales: 'open' | 'paused'
  hold: Duration
  offer: Duration
  maxHold: Duration
  confirmation: 'holder' | 'staff'
  maxWaiting: string
  promotion: 'on' | 'off'
}

export type FormField = keyof EventForm

/** What the fields are called. */
export const FIELD_LABELS: Record<FormField, string> = {
  name: 'Name',
  venue: 'Venue',
  url: 'Web page',
  timezone: 'Time zone',
  startsAt: 'Starts',
  endsAt: 'Ends',
  opensAt: 'Sale opens',
  closesAt: 'Sale ends',
  listed: 'Show in the list of events',
  totalTickets: 'Tickets',
  shrink: 'Shrink as tickets come back',
  sales: 'Sale',
  hold: 'Hold a ticket for',
  offer: 'Offer a ticket for',
  maxHold: 'Longest hold',
  confirmation: 'Who confirms',
  maxWaiting: 'Longest waiting list',
  promotion: 'Promotion',
}

/** A setting that can be changed. `shrink` is an instruction. */
type Settings = Required<Omit<EventPatch, 'shrink'>>

/** The field in which each setting is typed. */
const FIELD_OF_SETTING: Record<keyof EventPatch, FormField> = {
  name: 'name',
  venue: 'venue',
  url: 'url',
  timezone: 'timezone',
  startsAt: 'startsAt',
  endsAt: 'endsAt',
  opensAt: 'opensAt',
  closesAt: 'closesAt',
  listed: 'listed',
  totalTickets: 'totalTickets',
  shrink: 'shrink',
  sales: 'sales',
  holdSeconds: 'hold',
  offerSeconds: 'offer',
  maxHoldSeconds: 'maxHold',
  confirmation: 'confirmation',
  maxWaiting: 'maxWaiting',
  promotion: 'promotion',
}

const SETTINGS = Object.keys(FIELD_OF_SETTING) as (keyof EventPatch)[]

const NO_DURATION: Duration = { amount: '', unit: 'minutes' }

/** The form of an event that does not exist yet, with the defaults of the API. */
export function emptyForm(timezone: string): EventForm {
  return {
    name: '',
    venue: '',
    url: '',
    timezone,
    startsAt: '',
    endsAt: '',
    opensAt: '',
    closesAt: '',
    listed: true,
    totalTickets: '',
    shrink: false,
    sales: 'open',
    hold: NO_DURATION,
    offer: NO_DURATION,
    maxHold: NO_DURATION,
    confirmation: 'holder',
    maxWaiting: '',
    promotion: 'on',
  }
}

/** @param visitorZone the time zone for the times of an event that has none */
export function formOf(event: TicketedEvent, visitorZone: string): EventForm {
  const zone = zoneOf(event.timezone, visitorZone)
  const wall = (iso: string | null): string => (iso === null ? '' : wallTimeOf(iso, zone))
  return {
    name: event.name ?? '',
    venue: event.venue ?? '',
    url: event.url ?? '',
    timezone: event.timezone ?? '',
    startsAt: wall(event.startsAt),
    endsAt: wall(event.endsAt),
    opensAt: wall(event.opensAt),
    closesAt: wall(event.closesAt),
    listed: event.listed,
    totalTickets: String(event.totalTickets),
    shrink: false,
    sales: event.sales,
    hold: durationOf(event.holdSeconds),
    offer: durationOf(event.offerSeconds),
    maxHold: durationOf(event.maxHoldSeconds),
    confirmation: event.confirmation,
    maxWaiting: event.maxWaiting === null ? '' : String(event.maxWaiting),
    promotion: event.promotion,
  }
}

/**
 * The changes that a form makes to an event, as the API takes them. Settings that are the same in
 * both forms are not in it, so it overwrites nothing that the organizer did not touch.
 *
 * @param base the form as it was before the organizer changed it
 */
export function patchOf(base: EventForm, form: EventForm, visitorZone: string): EventPatch {
  const before = settingsOf(base, visitorZone)
  const after = settingsOf(form, visitorZone)
  const changed = SETTINGS.filter((name) => name !== 'shrink' && before[name] !== after[name]).map(
    (name) => [name, after[name as keyof Settings]],
  )
  const patch: EventPatch = Object.fromEntries(changed)
  if (patch.totalTickets !== undefined && form.shrink) patch.shrink = true
  return patch
}

/** The body that creates an event. Defaults are left out. */
export function newEventOf(form: EventForm, visitorZone: string): NewEvent {
  const { shrink: _, ...settings } = patchOf(emptyForm(''), form, visitorZone)
  return settings as NewEvent
}

/** What is wrong with the values of fields, in words for people. */
export type FormErrors = ReadonlyMap<FormField | undefined, string>

/** What the API accepts, s (packages/shared/src/contract/limits.ts). */
const DURATIONS = {
  hold: { min: 5, max: 604_800, text: 'Choose a time from 5 seconds to 7 days.' },
  offer: { min: 5, max: 2_592_000, text: 'Choose a time from 5 seconds to 30 days.' },
  maxHold: { min: 5, max: 5_184_000, text: 'Choose a time from 5 seconds to 60 days.' },
} as const

/**
 * Finds values for which the API has no message that is written for people.
 *
 * @param base the form before it was changed. The browser may not know the time zone in it.
 */
export function problemsOf(form: EventForm, base?: EventForm): FormErrors {
  const problems = new Map<FormField, string>()
  for (const [field, { min, max, text }] of Object.entries(DURATIONS)) {
    const seconds = secondsOf(form[field as keyof typeof DURATIONS])
    const fits =
      seconds === null || (typeof seconds === 'number' && min <= seconds && seconds <= max)
    if (!fits) problems.set(field as FormField, text)
  }
  const timezone = form.timezone.trim()
  if (timezone !== '' && timezone !== base?.timezone && !isTimeZone(timezone))
    problems.set('timezone', 'There is no such time zone. Choose one, such as Europe/Berlin.')
  return problems
}

/** The time zone in which the times of an event are shown and typed. */
export function zoneOf(timezone: string | null, visitorZone: string): string {
  return timezone !== null && isTimeZone(timezone) ? timezone : visitorZone
}

/** The messages of the API about single fields. Other messages are under `undefined`. */
export function fieldErrorsOf(errors: readonly { pointer: string; detail: string }[]): FormErrors {
  const byField = new Map<FormField | undefined, string>()
  for (const { pointer, detail } of errors) {
    const name = pointer.replace(/^\//, '')
    const field = Object.hasOwn(FIELD_OF_SETTING, name)
      ? FIELD_OF_SETTING[name as keyof EventPatch]
      : undefined
    byField.set(field, `${byField.has(field) ? `${byField.get(field)} ` : ''}${sentence(detail)}`)
  }
  return byField
}

/** Shows a length of time in the largest unit that divides it. */
export function durationOf(seconds: number | null): Duration {
  if (seconds === null) return NO_DURATION
  const fitting = DURATION_UNITS.filter((unit) => seconds % SECONDS_PER_UNIT[unit] === 0)
  const unit = fitting[fitting.length - 1] ?? 'seconds'
  return { amount: String(seconds / SECONDS_PER_UNIT[unit]), unit }
}

/** @returns null without an amount, and the amount itself if it is no number */
export function secondsOf({ amount, unit }: Duration): number | string | null {
  const value = numberOf(amount)
  return typeof value === 'number' ? Math.round(value * SECONDS_PER_UNIT[unit]) : value
}

function settingsOf(form: EventForm, visitorZone: string): Settings {
  const zone = zoneOf(form.timezone.trim(), visitorZone)
  const text = (value: string): string | null => value.trim() || null
  // A text that is no time or number is sent as it is. The API refuses it and names the field.
  const time = (wall: string): string | null => (wall && (instantOf(wall, zone) ?? wall)) || null
  return {
    name: text(form.name),
    venue: text(form.venue),
    url: text(form.url),
    timezone: text(form.timezone),
    startsAt: time(form.startsAt),
    endsAt: time(form.endsAt),
    opensAt: time(form.opensAt),
    closesAt: time(form.closesAt),
    listed: form.listed,
    totalTickets: numberOf(form.totalTickets),
    sales: form.sales,
    holdSeconds: secondsOf(form.hold),
    offerSeconds: secondsOf(form.offer),
    maxHoldSeconds: secondsOf(form.maxHold),
    confirmation: form.confirmation,
    maxWaiting: numberOf(form.maxWaiting),
    promotion: form.promotion,
  } as Settings
}

function numberOf(text: string): number | string | null {
  if (text.trim() === '') return null
  const value = Number(text)
  return Number.isFinite(value) ? value : text
}

/** Makes a sentence of a message such as `must be a positive integer`. */
function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(start) ? start : `${start}.`
}
