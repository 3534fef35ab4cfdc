import { hash } from 'node:crypto'
import { type EventView, isoOf, saleStateOf } from '@ticket-line/shared'
import { z } from 'zod'
import { countSchema, shownEventId, shownUserId, timeSchema } from '../http/schemas.js'

const time = timeSchema.nullable()
const seconds = z.int().nullable()

export const SALE_STATES = ['canceled', 'closed', 'scheduled', 'paused', 'open'] as const

export const saleStateSchema = z
  .enum(SALE_STATES)
  .meta({ id: 'SaleState', description: 'Only an `open` event sells tickets.' })

/** An event as clients see it. */
export const eventSchema = z
  .strictObject({
    eventId: shownEventId,
    name: z.string().nullable(),
    startsAt: time,
    endsAt: time,
    timezone: z.string().nullable(),
    venue: z.string().nullable(),
    url: z.string().nullable(),
    listed: z.boolean(),
    owner: shownUserId
      .nullable()
      .optional()
      .meta({ description: 'The user who owns the event. Only staff see it.' }),
    state: saleStateSchema,
    opensAt: time,
    closesAt: time,
    totalTickets: countSchema.meta({ description: 'The size that the organizer wants.' }),
    availableTickets: countSchema,
    heldTickets: countSchema,
    withheldTickets: countSchema.meta({
      description: 'Tickets that are neither booked, held nor free.',
    }),
    waitingListCount: countSchema,
    holdSeconds: seconds,
    offerSeconds: seconds,
    maxHoldSeconds: seconds,
    confirmation: z.enum(['holder', 'staff']),
    maxWaiting: z.int().nullable(),
    sales: z.enum(['open', 'paused']),
    promotion: z.enum(['on', 'off']),
    serverTime: timeSchema,
  })
  .meta({
    id: 'Event',
    example: {
      eventId: 1001,
      name: 'Concert',
      startsAt: '2030-02-28T19:00:00.000Z',
      endsAt: null,
      timezone: 'Europe/Berlin',
      venue: 'City Hall',
      url: null,
      listed: true,
      state: 'open',
      opensAt: '2030-01-31T18:00:00.000Z',
      closesAt: null,
      totalTickets: 500,
      availableTickets: 42,
      heldTickets: 3,
      withheldTickets: 0,
      waitingListCount: 0,
      holdSeconds: 600,
      offerSeconds: null,
      maxHoldSeconds: null,
      confirmation: 'holder',
      maxWaiting: null,
      sales: 'open',
      promotion: 'on',
      serverTime: '2030-01-31T18:05:00.000Z',
    },
  })

export type EventBody = z.output<typeof eventSchema>

/**
 * The body of responses that show an event.
 *
 * @param nowMs PostgreSQL's clock when the event was read or decided, ms since 1970
 * @param staff true if the caller is staff of the event
 */
export function eventBodyOf(event: EventView, nowMs: number, staff: boolean): EventBody {
  // The claims of a canceled event end in portions. None of them counts any more.
  const live = event.canceledAtMs === null
  return {
    eventId: event.eventId,
    name: event.name,
    startsAt: isoOf(event.startsAtMs),
    endsAt: isoOf(event.endsAtMs),
    timezone: event.timezone,
    venue: event.venue,
    url: event.url,
    listed: event.listed,
    ...(staff && { owner: event.owner }),
    state: saleStateOf(event, nowMs),
    opensAt: isoOf(event.opensAtMs),
    closesAt: isoOf(event.closesAtMs),
    totalTickets: event.totalTickets,
    availableTickets: live ? event.availableTickets : 0,
    heldTickets: live ? event.heldTickets : 0,
    withheldTickets: live ? event.withheldTickets : 0,
    waitingListCount: live ? event.waitingListCount : 0,
    holdSeconds: event.holdSeconds,
    offerSeconds: event.offerSeconds,
    maxHoldSeconds: event.maxHoldSeconds,
    confirmation: event.confirmation,
    maxWaiting: event.maxWaiting,
    sales: event.paused ? 'paused' : 'open',
    promotion: event.promoting ? 'on' : 'off',
    serverTime: isoOf(nowMs),
  }
}

/**
 * The `ETag` of a response that shows an event. It identifies the response without the time at
 * which it was made, and names the version of the settings.
 *
 * @param version {@link EventView.version}
 */
export function eventTagOf(version: number, { serverTime: _, ...identified }: EventBody): string {
  return `"${version}.${hash('sha256', JSON.stringify(identified), 'base64url').slice(0, 22)}"`
}

const EVENT_TAG = /^"([1-9]\d{0,9})\.[\w-]{22}"$/

/** A version that no event has, because versions count from 1. */
const NO_VERSION = 0

/**
 * The version that `If-Match` asks for. Only the version of a tag counts, so that a booking never
 * fails the condition.
 *
 * @returns undefined if any version is right; 0, which no event has, if all tags are weak or
 *   foreign
 */
export function versionOfIfMatch(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const versions = ifMatch
    .split(',')
    .map((tag) => Number(EVENT_TAG.exec(tag.trim())?.[1] ?? NO_VERSION))
  // Versions only grow, so a client that has seen two of them can only mean the later one.
  return Math.max(...versions)
}
