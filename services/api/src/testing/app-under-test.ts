import type { EventStaff, EventStatus, ListedEvent, Sale } from '@ticket-line/db'
import type { LineClient, SubmitResult } from '@ticket-line/line/client'
import {
  AppError,
  callerOfKey,
  createLog,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventView,
  type Role,
  type Scope,
} from '@ticket-line/shared'
import type { MiddlewareHandler } from 'hono'
import { type AppDeps, createApp } from '../app.js'
import { noOverrides } from '../auth/account-overrides.js'
import type { Sales } from '../booking/sales.js'
import { type EventAccess, isStaffIn } from '../events/access.js'
import type { EventReads } from '../events/reads.js'
import type { AppEnv } from '../http/env.js'
import type { PrincipalKey } from '../http/principal.js'
import type { Guards, RequireStaff } from '../http/route.js'
import type { OwnKeys } from '../keys/routes.js'
import { createConcurrencyLimit } from '../limits/concurrency.js'
import { createExportLimit } from '../limits/export-limit.js'
import type { ChangeFeed } from '../live/change-feed.js'
import { createMetrics } from '../operations/metrics.js'
import type { BuiltFile, BuiltFiles } from '../pages/built-files.js'
import type { WebhookDeps } from '../webhooks/routes.js'
import type { WebhookStore } from '../webhooks/store.js'

/** The id of the API key that `authenticate` accepts. */
export const KEY_ID = 'Zx81kQ4fWm2Rb7Yp'

/** The key of `scope,scope` or `scope,scope@eventId,eventId`. */
function keyOf(text: string): PrincipalKey {
  const [scopes = '', eventIds] = text.split('@')
  return {
    id: KEY_ID,
    caller: callerOfKey(KEY_ID),
    scopes: new Set(scopes.split(',') as Scope[]),
    ...(eventIds !== undefined && { eventIds: new Set(eventIds.split(',').map(Number)) }),
    rateLimit: { requests: 6000, windowMs: 60_000 },
  }
}

/**
 * Accepts `Authorization: Test <userId> <role>`, and `Test <userId> <role> <key>` for a request
 * with an API key.
 */
function authenticate(required: boolean): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const [scheme, userId, role = 'user', key] = (c.req.header('authorization') ?? '').split(' ')
    if (scheme === 'Test' && userId)
      c.set('principal', { userId, role: role as Role, ...(key && { key: keyOf(key) }) })
    else if (required) throw new AppError('unauthorized', 'Please sign in.')
    return next()
  }
}

/** Counts nothing. Refuses requests with `X-Over-Limit`. */
const limit: MiddlewareHandler<AppEnv> = async (c, next) => {
  c.header('RateLimit', 'limit=100, remaining=99, reset=900')
  return c.req.header('x-over-limit') === undefined
    ? next()
    : c.json({ message: 'Too many requests' }, 429)
}

export const guards: Guards & { requireStaff: RequireStaff } = {
  requireStaff: () => undefined,
  authenticate: {
    optional: authenticate(false),
    ifSent: authenticate(false),
    required: authenticate(true),
  },
  limits: {
    general: limit,
    address: limit,
    poll: limit,
    login: limit,
    register: limit,
    administration: limit,
    dashboard: limit,
    keyAndUser: async () => undefined,
    unmatched: async (c) =>
      c.req.header('x-far-over-limit') === undefined
        ? undefined
        : c.json({ message: 'Too many requests' }, 429),
  },
}

/** The only event. It has 5 of 10 tickets left. */
export const eventOne: EventStatus = {
  eventId: 1,
  totalTickets: 10,
  availableTickets: 5,
  waitingListCount: 0,
}

/** The same event in a list, and with its settings. */
export const listedEventOne: ListedEvent = {
  ...eventOne,
  name: null,
  startsAtMs: null,
  state: 'open',
  place: { startsAtUs: null, eventId: 1 },
}
export const eventOneView: EventView = {
  ...DEFAULT_EVENT_DETAILS,
  ...DEFAULT_SALE_RULES,
  ...eventOne,
  version: 1,
  owner: 'olga',
  canceledAtMs: null,
  heldTickets: 0,
  withheldTickets: 0,
}

/** The staff of event 1. */
export const staffOfEventOne: EventStaff = {
  owner: 'olga',
  shared: false,
  organizers: ['otto', 'oleg'],
}

/** Knows events 1 and 2, which have the same staff. */
export const fakeAccess: EventAccess = {
  staffOf(principal, eventId) {
    if (principal.role === 'organizer' && eventId > 2) return 'not_found'
    return isStaffIn(staffOfEventOne, principal) ? 'staff' : 'not_staff'
  },
  forget: () => undefined,
}

async function* noRows(): AsyncGenerator<never[]> {}

export function fakeEvents(changes: Partial<EventReads> = {}): EventReads {
  return {
    status: async (eventId) => (eventId === 1 ? eventOne : undefined),
    event: async (eventId) => (eventId === 1 ? { event: eventOneView, nowMs: 0 } : undefined),
    page: async () => [listedEventOne],
    create: async () => ({ created: true, event: eventOne }),
    createConfigured: async () => ({
      kind: 'created',
      replayed: false,
      event: eventOneView,
      nowMs: 0,
    }),
    remove: async () => 'deleted',
    staff: async (eventId) => (eventId === 1 ? staffOfEventOne : undefined),
    setOrganizers: async () => 'changed',
    setOwner: async () => 'changed',
    claim: async () => ({ standing: 'none' }),
    userBookings: async () => [],
    bookings: async () => [],
    holds: async () => [],
    hold: async () => undefined,
    exportHolds: noRows,
    waitingList: async () => [],
    booking: async () => undefined,
    waitingEntry: async () => undefined,
    exportBookings: noRows,
    exportWaitingList: noRows,
    ...changes,
  }
}

/** A feed in which no event has a change. */
export function fakeChanges(changes: Partial<ChangeFeed> = {}): ChangeFeed {
  const none = { changes: [], next: 0, epoch: 'one' }
  return {
    read: async () => none,
    wait: async () => none,
    export: async () => ({ first: [], rest: noRows(), lastChange: 0, epoch: 'one' }),
    ...changes,
  }
}

/** The sale of an event that was never changed, and of which the user has nothing. */
export const openSale: Sale = {
  nowMs: 1_700_000_000_000,
  isPlain: true,
  confirmation: 'holder',
  canceledAtMs: null,
  opensAtMs: null,
  closesAtMs: null,
  paused: false,
  hasClaim: false,
  hasKey: false,
}

/** The sale of event 1, of which the process remembers nothing. */
export function fakeSales(changes: Partial<Sale> = {}): Sales {
  return {
    recall: () => undefined,
    read: async ({ eventId }) => (eventId === 1 ? { ...openSale, ...changes } : undefined),
    learn: () => undefined,
  }
}

/** Nobody has a webhook. */
export function fakeWebhooks(changes: Partial<WebhookStore> = {}): WebhookDeps {
  return {
    webhooks: {
      create: async () => undefined,
      list: async () => [],
      find: async () => undefined,
      update: async () => undefined,
      rotateSecret: async () => undefined,
      remove: async () => false,
      deliveries: async () => [],
      retainedChanges: async () => undefined,
      ...changes,
    },
    webhookJobs: { add: async () => undefined },
    webhookRules: { allowHttp: false, allowedHosts: new Set() },
    webhookKeys: undefined,
  }
}

/** Nobody has an API key. */
export function fakeKeys(changes: Partial<OwnKeys> = {}): OwnKeys {
  return {
    create: async () => undefined,
    list: async () => [],
    rotate: async () => undefined,
    remove: async () => false,
    ...changes,
  }
}

/** A line in which every command has the same result. */
export function fakeLine(
  result: SubmitResult,
  find: LineClient['find'] = async () => undefined,
): LineClient {
  return { submit: async () => result, find, close: async () => undefined } as LineClient
}

export const booked: SubmitResult = {
  kind: 'decided',
  commandId: 'event-1.000000000aaaaaaaaaaaa.1.0',
  outcome: { outcome: 'booked', bookingId: '1-6', decidedAtMs: 1_700_000_000_000 },
}

/** A file whose compressed copies differ from it. */
function fakeFile(text: string, mediaType = 'text/html; charset=utf-8'): BuiltFile {
  const bytes = new TextEncoder().encode(text)
  const [br, gzip] = ['br', 'gzip'].map((name) => new TextEncoder().encode(`${name} of ${text}`))
  return { mediaType, digest: text, bytes, compressed: { br: br ?? bytes, gzip: gzip ?? bytes } }
}

/** Pages of one word each, and one asset. */
export const fakePages: BuiltFiles = {
  pages: { home: fakeFile('home'), event: fakeFile('event'), boxOffice: fakeFile('box-office') },
  assets: new Map([['style-1.css', fakeFile('style', 'text/css; charset=utf-8')]]),
}

/** The whole app with fakes behind it. */
export function appUnderTest(changes: Partial<AppDeps> = {}) {
  return createApp({
    log: createLog('test', 'silent'),
    metrics: createMetrics(),
    lifecycle: { draining: false },
    trustedProxies: { hops: 0, networks: undefined },
    requests: createConcurrencyLimit(100),
    longPolls: createConcurrencyLimit(100),
    guards,
    line: fakeLine(booked),
    availability: { redis: () => true, postgres: () => true },
    events: fakeEvents(),
    access: fakeAccess,
    changes: fakeChanges(),
    overrides: noOverrides,
    ownKeys: fakeKeys(),
    knownKeys: { forget: () => undefined },
    maxKeyRequestsPerMinute: 60_000,
    sales: fakeSales(),
    ...fakeWebhooks(),
    streams: { open: async () => undefined },
    streamLimit: { enter: async () => () => undefined },
    securityContacts: [],
    pages: fakePages,
    initializeOpen: false,
    resultWaitMs: 10_000,
    readTimeoutMs: 200,
    exportStallTimeoutMs: 200,
    exportTimeoutMs: 60_000,
    exports: createExportLimit({ max: 2, prefix: 'test:', log: createLog('test', 'silent') }),
    ...changes,
  })
}

export interface Call {
  as?: string
  headers?: Record<string, string>
  body?: unknown
  /** Sent unchanged. */
  rawBody?: NonNullable<RequestInit['body']>
}

export interface Answer {
  status: number
  headers: Response['headers']
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read bodies of every shape
  json: any
}

/** Sends a request: `call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })`. */
export async function call(
  app: ReturnType<typeof appUnderTest>,
  methodAndPath: string,
  { as, headers, body, rawBody }: Call = {},
): Promise<Answer> {
  const [method = 'GET', path = '/'] = methodAndPath.split(' ')
  const all = new Headers(headers)
  if (as !== undefined) all.set('authorization', `Test ${as}`)
  if (body !== undefined && !all.has('content-type')) all.set('content-type', 'application/json')
  const init: RequestInit = { method, headers: all }
  const sent = rawBody ?? (body === undefined ? undefined : JSON.stringify(body))
  if (sent !== undefined) Object.assign(init, { body: sent, duplex: 'half' })
  const response = await app.request(path, init)
  const text = await response.text()
  const json = text.startsWith('{') ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, json }
}
