import type { Scope } from '@ticket-line/shared'
import { type Caller, KEY_CALLERS, type KeyCaller } from './callers.ts'

interface Sent {
  body?: unknown
  /** Members of an HTML form. */
  form?: Record<string, string>
}

export interface Expectation {
  /** Statuses in the order of `CALLERS`: nobody, user, other, organizer, admin, expired, forged. */
  statuses: number[]
  /** Makes the request of a caller. Each gets its own, since some calls succeed only once. */
  send?: (caller: Caller | KeyCaller) => Sent
  /**
   * Statuses of calls with API keys, in the order of `KEY_CALLERS`. By default, keys get the status
   * that all other callers get. If their statuses differ, `noKey` applies.
   */
  keys?: number[]
}

/** What keys get from a call that no key may make. */
const noKey = KEY_CALLERS.map((caller) => (caller === 'deleted' ? 401 : 403))

/** What a call answers to each of `KEY_CALLERS`. */
export function keyStatusesOf({ statuses, keys }: Expectation): number[] {
  if (keys !== undefined) return keys
  const [first = 0] = statuses
  return statuses.every((status) => status === first) ? KEY_CALLERS.map(() => first) : noKey
}

/** Only keys with one of these scopes may make the call, and only for their own events. */
function scoped(scopes: Scope | Partial<Record<Scope, number>>, ok = 0, elsewhere = 403): number[] {
  const allowed: Partial<Record<string, number>> =
    typeof scopes === 'string' ? { [scopes]: ok } : scopes
  return KEY_CALLERS.map((caller) => {
    if (caller === 'deleted') return 401
    return caller === 'elsewhere' ? elsewhere : (allowed[caller] ?? 403)
  })
}

/** What exists before the calls are made. */
export interface Scene {
  /** An event of `olga`, for which `ada`, `olga` and `root` have a booking. */
  booked: number
  /** An event of `olga` without bookings. */
  open: number
  /** The first id that is not initialized yet. Each caller takes the next one. */
  firstFree: number
}

const everyone = (status: number): number[] => Array<number>(7).fill(status)
const signedIn = (ok: number, other = ok): number[] => [401, ok, other, ok, ok, 401, 401]
const staff = (ok: number): number[] => [401, 403, 403, ok, ok, 401, 401]
const admins = (ok: number): number[] => [401, 403, 403, 403, ok, 401, 401]

const isKey = (caller: Caller | KeyCaller): caller is KeyCaller =>
  KEY_CALLERS.some((key) => key === caller)

/**
 * A command of each caller for themselves, but `other` tries to act for `ada`. A key acts for a
 * guest, who has what the callers have.
 */
const claim = (eventId: number) => (caller: Caller | KeyCaller) => ({
  body: {
    eventId,
    ...(caller === 'other' && { userId: 'ada' }),
    ...(isKey(caller) && { userId: 'guest' }),
  },
})

/** Every route but those of the dashboard's board, for which the test has rules instead. */
export function expectations({ booked, open, firstFree }: Scene): Record<string, Expectation> {
  let free = firstFree
  const password = 'tall ferns by the river'
  const open200: Expectation = { statuses: everyone(200) }
  const ofWebhook = scoped('webhooks:write', 404, 404)
  return {
    'POST /register': {
      statuses: everyone(201),
      send: (caller) => ({ body: { userId: `new-${caller}`, password } }),
    },
    'POST /login': {
      statuses: everyone(200),
      send: () => ({ body: { userId: 'victim', password } }),
    },
    // Only a refresh token counts here, whatever access token is sent.
    'POST /token/refresh': { statuses: everyone(401) },
    'POST /logout': { statuses: everyone(204) },
    // None of the callers has an account, so every password is wrong.
    'PUT /me/password': {
      statuses: everyone(401),
      send: () => ({ body: { password, newPassword: password } }),
      keys: noKey,
    },
    'GET /users': { statuses: admins(200) },
    'PUT /users/:userId/role': { statuses: admins(200), send: () => ({ body: { role: 'user' } }) },
    'PUT /users/:userId/disabled': {
      statuses: admins(200),
      send: () => ({ body: { disabled: false } }),
    },
    'GET /.well-known/jwks.json': open200,
    'GET /.well-known/security.txt': open200,
    'POST /book': {
      statuses: signedIn(200, 403),
      send: claim(open),
      keys: scoped('bookings:write', 200),
    },
    'POST /cancel': {
      statuses: signedIn(200, 403),
      send: claim(booked),
      keys: scoped('bookings:write', 200),
    },
    // All of them have a booking already.
    'POST /confirm': {
      statuses: signedIn(200, 403),
      send: claim(open),
      keys: scoped('bookings:write', 200),
    },
    'POST /extend': {
      statuses: staff(409),
      send: claim(open),
      keys: scoped('bookings:write', 409),
    },
    // A user sent the job, so keys need to read bookings of its event.
    'GET /jobs/:jobId': {
      statuses: signedIn(200, 404),
      keys: scoped({ 'bookings:read': 200, 'bookings:write': 404, 'events:write': 404 }, 0, 404),
    },
    'POST /initialize': {
      statuses: staff(201),
      send: () => ({ body: { eventId: free++, totalTickets: 1 } }),
      keys: scoped('events:write', 201),
    },
    'GET /status/:eventId': open200,
    'GET /events': open200,
    'POST /events': {
      statuses: staff(201),
      send: () => ({ body: { totalTickets: 1 } }),
      keys: scoped('events:write', 201),
    },
    'GET /events/:eventId': open200,
    // It has bookings.
    'DELETE /events/:eventId': { statuses: staff(409) },
    'GET /me/bookings': { statuses: signedIn(200) },
    'PATCH /events/:eventId': {
      statuses: staff(200),
      send: () => ({ body: {} }),
      keys: scoped('events:write', 200),
    },
    'POST /events/:eventId/grants': {
      statuses: staff(200),
      send: (caller) => ({ body: { userId: `guest of ${caller}` } }),
      keys: scoped('bookings:write', 200),
    },
    'POST /events/:eventId/cancel': { statuses: staff(200), keys: scoped('events:write', 200) },
    'GET /events/:eventId/organizers': { statuses: staff(200) },
    'PUT /events/:eventId/organizers': {
      statuses: staff(200),
      send: () => ({ body: { userIds: ['otto'] } }),
    },
    // The new owner is the present one.
    'PUT /events/:eventId/owner': {
      statuses: staff(200),
      send: () => ({ body: { userId: 'olga' } }),
    },
    'GET /events/:eventId/me': { statuses: signedIn(200) },
    'GET /events/:eventId/bookings': { statuses: staff(200), keys: scoped('bookings:read', 200) },
    'GET /events/:eventId/waiting-list': {
      statuses: staff(200),
      keys: scoped('bookings:read', 200),
    },
    // Only its owner sees a webhook. The callers here have none.
    'POST /webhooks': {
      statuses: staff(201),
      send: () => ({ body: { url: 'https://crm.example.com/hook' } }),
      keys: scoped('webhooks:write', 201),
    },
    'GET /webhooks': { statuses: staff(200), keys: scoped('webhooks:write', 200, 200) },
    'GET /webhooks/:id': { statuses: staff(404), keys: ofWebhook },
    'PATCH /webhooks/:id': {
      statuses: staff(404),
      send: () => ({ body: { disabled: true } }),
      keys: ofWebhook,
    },
    'DELETE /webhooks/:id': { statuses: staff(404), keys: ofWebhook },
    'POST /webhooks/:id/rotate-secret': { statuses: staff(404), keys: ofWebhook },
    'POST /webhooks/:id/test': { statuses: staff(404), keys: ofWebhook },
    'POST /webhooks/:id/replay': {
      statuses: staff(404),
      send: () => ({ body: { eventId: booked, from: 1, to: 1 } }),
      keys: scoped('webhooks:write', 404),
    },
    'GET /webhooks/:id/deliveries': { statuses: staff(404), keys: ofWebhook },
    // No key may create a key.
    'POST /api-keys': {
      statuses: staff(201),
      send: () => ({ body: { name: 'Shop', scopes: ['events:read'] } }),
    },
    'GET /api-keys': { statuses: staff(200) },
    'DELETE /api-keys/:id': { statuses: staff(404) },
    'POST /api-keys/:id/rotate': { statuses: staff(404) },
    'GET /events/:eventId/changes': { statuses: staff(200), keys: scoped('changes:read', 200) },
    'GET /events/:eventId/stream': open200,
    'GET /events/:eventId/me/stream': { statuses: signedIn(200) },
    'GET /': open200,
    'GET /e/:eventId': open200,
    'GET /box-office': open200,
    'GET /assets/:name': open200,
    'GET /livez': open200,
    'GET /readyz': open200,
    'GET /metrics': open200,
    'GET /openapi.json': open200,
    'GET /docs': open200,
    'GET /docs/swagger-ui.css': open200,
    'GET /docs/swagger-ui-bundle.js': open200,
    'GET /docs/favicon-32x32.png': open200,
    'GET /docs/start.js': open200,
    'GET /docs/style.css': open200,
    'GET /admin': { statuses: everyone(302) },
    'GET /admin/login': open200,
    // Only the form counts here, whatever access token is sent.
    'POST /admin/login': {
      statuses: everyone(401),
      send: () => ({ form: { userId: 'root', password } }),
    },
    'GET /admin/logout': open200,
    'POST /admin/logout': { statuses: everyone(303), send: () => ({ form: {} }) },
  }
}
