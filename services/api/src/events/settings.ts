import {
  type EventPatch,
  HOLD_SECONDS,
  MAX_EVENT_NAME_LENGTH,
  MAX_EVENT_URL_LENGTH,
  MAX_HOLD_SECONDS,
  OFFER_SECONDS,
} from '@ticket-line/shared'
import { z } from 'zod'
import { eventIdSchema, totalTicketsSchema } from '../http/schemas.js'

// Control characters (Cc) would break logs and CSV; lone surrogates (Cs) cannot be stored as UTF-8.
const FORBIDDEN_IN_TEXT = /[\p{Cc}\p{Cs}]/u

/** Text that people write, of 1 to `max` characters. */
export function textSchema(max: number) {
  const error = `must have 1 to ${max} characters, no control characters and no lone surrogates`
  return z
    .string({ error })
    .refine(
      (text) => text !== '' && [...text].length <= max && !FORBIDDEN_IN_TEXT.test(text),
      error,
    )
    .meta({ minLength: 1, maxLength: max })
}

/** An integer in a range that the contract gives. */
export function secondsSchema({ min, max }: { min: number; max: number }) {
  const error = `must be an integer from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

const TIME =
  /^(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d+))?)?(?:[Zz]|([+-])([01]\d|2[0-3])(?::?([0-5]\d))?)$/

// PostgreSQL reads no year 0000.
const MIN_TIME_MS = Date.parse('0001-01-01T00:00:00Z')
const MAX_TIME_MS = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Reads a time in ISO 8601 with an offset, in the years from 0001 to 9999. Digits beyond the
 * millisecond are cut off.
 *
 * @returns ms since 1970; undefined if it is no such time
 */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text)
  if (match === null) return undefined
  const [, day = '', hours, minutes, seconds = '0', fraction = '', sign, ...offset] = match
  const dayMs = Date.parse(`${day}T00:00:00Z`)
  // `Date` takes February 30 for March 2.
  if (Number.isNaN(dayMs) || new Date(dayMs).toISOString().slice(0, 10) !== day) return undefined
  const [offsetHours = '0', offsetMinutes = '0'] = offset
  const offsetM = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1)
  const ofDayM = Number(hours) * 60 + Number(minutes) - offsetM
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'))
  const timeMs = dayMs + ofDayM * 60_000 + Number(seconds) * 1000 + ms
  // The offset can lead out of these years.
  return timeMs >= MIN_TIME_MS && timeMs <= MAX_TIME_MS ? timeMs : undefined
}

const timeError = { error: 'must be a time in ISO 8601 with an offset' }

/** Transforms a time of a request to ms since 1970. */
export function readTime(text: string, context: z.RefinementCtx): number {
  const timeMs = parseTime(text)
  if (timeMs !== undefined) return timeMs
  context.addIssue(timeError.error)
  return z.NEVER
}

/** A time in a request. It is parsed to ms since 1970. */
export const timeInput = z
  .string(timeError)
  .transform(readTime)
  .meta({ format: 'date-time', example: '2030-01-31T20:00:00+02:00' })

// `Intl` also knows names of ICU that IANA does not have, most of them three letters such as `PST`.
const NOT_OF_IANA =
  /^(?:SystemV\/.*|(?!UTC|GMT|UCT|EST|MST|HST|CET|MET|EET|WET|PRC|ROC|ROK)[A-Z]{3})$/

function isTimezone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name) || NOT_OF_IANA.test(name)) return false
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions()
    // `Intl` ignores case, which other readers of the name do not.
    return timeZone === name || timeZone.toLowerCase() !== name.toLowerCase()
  } catch {
    return false
  }
}

function isWebUrl(text: string): boolean {
  return /^https?:\/\/[^\s\\]+$/iu.test(text) && URL.canParse(text)
}

const flagError = { error: 'must be true or false' }
const maxWaitingError = { error: 'must be null or an integer from 0 to 2147483647' }
const urlError = `must be an http or https URL of at most ${MAX_EVENT_URL_LENGTH} characters`

/** What staff may set, without the size. Null and absent members of a new event are defaults. */
const settings = {
  name: textSchema(MAX_EVENT_NAME_LENGTH).nullable().optional(),
  startsAt: timeInput.nullable().optional(),
  endsAt: timeInput.nullable().optional(),
  timezone: z
    .string({ error: 'must be a time zone of IANA' })
    .refine(isTimezone, { error: 'must be a time zone of IANA' })
    .nullable()
    .optional()
    .meta({ example: 'Europe/Berlin' }),
  venue: textSchema(MAX_EVENT_NAME_LENGTH).nullable().optional(),
  url: textSchema(MAX_EVENT_URL_LENGTH)
    .refine(isWebUrl, { error: urlError })
    .nullable()
    .optional()
    .meta({ example: 'https://example.org/concert' }),
  listed: z
    .boolean(flagError)
    .optional()
    .meta({ description: 'Whether `GET /events` shows the event to everybody.' }),
  opensAt: timeInput.nullable().optional().meta({ description: 'When the sale opens.' }),
  closesAt: timeInput.nullable().optional().meta({ description: 'When the sale ends.' }),
  holdSeconds: secondsSchema(HOLD_SECONDS).nullable().optional().meta({
    description: 'How long `POST /book` holds a ticket. With null it books at once.',
  }),
  offerSeconds: secondsSchema(OFFER_SECONDS).nullable().optional().meta({
    description:
      'How long a user from the waiting list has to confirm. Null means `holdSeconds`, and if that is null, promotion books at once.',
  }),
  maxHoldSeconds: secondsSchema(MAX_HOLD_SECONDS).nullable().optional().meta({
    description:
      'How long a hold can last with all its extensions. Null means twice its first length.',
  }),
  confirmation: z
    .enum(['holder', 'staff'], { error: 'must be holder or staff' })
    .optional()
    .meta({ description: 'Who may confirm a hold. Staff always may.' }),
  maxWaiting: z
    .int(maxWaitingError)
    .min(0, maxWaitingError)
    .max(2_147_483_647, maxWaitingError)
    .nullable()
    .optional()
    .meta({
      description:
        'Maximum number of waiting-list entries. Null means no limit, 0 means no waiting list.',
    }),
  sales: z.enum(['open', 'paused'], { error: 'must be open or paused' }).optional(),
  promotion: z.enum(['on', 'off'], { error: 'must be on or off' }).optional().meta({
    description: 'With `off`, tickets that come back are withheld from the waiting list.',
  }),
}

/** Body of `POST /events`. */
export const newEventSchema = z
  .strictObject({
    eventId: eventIdSchema
      .optional()
      .meta({ description: 'Without it, the server chooses the next free id from 1,000,001 on.' }),
    totalTickets: totalTicketsSchema,
    ...settings,
  })
  .meta({ id: 'NewEvent', example: { name: 'Concert', totalTickets: 500, holdSeconds: 600 } })

/** Body of `PATCH /events/:eventId`. Null resets a setting to its default. */
export const eventPatchSchema = z
  .strictObject({
    totalTickets: totalTicketsSchema.optional(),
    ...settings,
    shrink: z.boolean(flagError).optional().meta({
      description:
        'True allows a size below the number of booked and held tickets. It is not stored.',
    }),
  })
  .meta({ id: 'EventPatch', example: { totalTickets: 600, sales: 'open' } })

/** The settings in the body of `POST /events` or a PATCH, as the line and the tables have them. */
export function patchOf(
  body: Omit<z.output<typeof eventPatchSchema>, 'shrink'> & { eventId?: unknown; shrink?: unknown },
): EventPatch {
  const {
    eventId: _,
    shrink: __,
    startsAt,
    endsAt,
    opensAt,
    closesAt,
    sales,
    promotion,
    ...same
  } = body
  const patch = {
    ...same,
    startsAtMs: startsAt,
    endsAtMs: endsAt,
    opensAtMs: opensAt,
    closesAtMs: closesAt,
    paused: sales === undefined ? undefined : sales === 'paused',
    promoting: promotion === undefined ? undefined : promotion === 'on',
  }
  const sent = Object.entries(patch).filter(([, value]) => value !== undefined)
  return Object.fromEntries(sent) as EventPatch
}
