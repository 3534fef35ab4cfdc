import type { Caller } from './callers.ts'

/** What a caller sends; made for each, since some things can be done once. */
interface Sent {
  body?: unknown
  /** Members of a form. */
  form?: Record<string, string>
}

export interface Expectation {
  /** Statuses in the order of `CALLERS`: nobody, user, other, organizer, admin, expired, forged. */
  statuses: number[]
  send?: (caller: Caller) => Sent
}

/** Things made before the matrix is walked through. */
export interface Scene {
  /** An event in which `ada`, `olga` and `root` hold a ticket. */
  booked: number
  /** An event in which nobody does. */
  open: number
  /** Not yet initialized; one more for each caller. */
  firstFree: number
}

const alike = (status: number): number[] => Array<number>(7).fill(status)
const signedIn = (ok: number, other = ok): number[] => [401, ok, other, ok, ok, 401, 401]
const staff = (ok: number): number[] => [401, 403, 403, ok, ok, 401, 401]
const admins = (ok: number): number[] => [401, 403, 403, 403, ok, 401, 401]

/** For himself; the other user tries it in the name of the first. */
const claim = (eventId: number) => (caller: Caller) => ({
  body: { eventId, ...(caller === 'other' && { userId: 'ada' }) },
})

/** Every route of the application but those of the dashboard's board, which have rules instead, see the test. */
export function expectations({ booked, open, firstFree }: Scene): Record<string, Expectation> {
  let free = firstFree
  const password = 'tall ferns by the river'
  const open200: Expectation = { statuses: alike(200) }
  return {
    'POST /register': {
      statuses: alike(201),
      send: (caller) => ({ body: { userId: `new-${caller}`, password } }),
    },
    'POST /login': { statuses: alike(200), send: () => ({ body: { userId: 'victim', password } }) },
    // No access token is worth anything here: only a refresh token is.
    'POST /token/refresh': { statuses: alike(401) },
    'POST /logout': { statuses: alike(204) },
    // None of the callers has an account whose password it could know.
    'PUT /me/password': {
      statuses: alike(401),
      send: () => ({ body: { password, newPassword: password } }),
    },
    'GET /users': { statuses: admins(200) },
    'PUT /users/:userId/role': { statuses: admins(200), send: () => ({ body: { role: 'user' } }) },
    'PUT /users/:userId/disabled': {
      statuses: admins(200),
      send: () => ({ body: { disabled: false } }),
    },
    'GET /.well-known/jwks.json': open200,
    'POST /book': { statuses: signedIn(200, 403), send: claim(open) },
    'POST /cancel': { statuses: signedIn(200, 403), send: claim(booked) },
    'GET /jobs/:jobId': { statuses: signedIn(200, 404) },
    'POST /initialize': {
      statuses: staff(201),
      send: () => ({ body: { eventId: free++, totalTickets: 1 } }),
    },
    'GET /status/:eventId': open200,
    'GET /events': open200,
    'GET /events/:eventId/me': { statuses: signedIn(200) },
    'GET /events/:eventId/bookings': { statuses: staff(200) },
    'GET /events/:eventId/waiting-list': { statuses: staff(200) },
    'GET /': open200,
    'GET /livez': open200,
    'GET /readyz': open200,
    'GET /metrics': open200,
    'GET /openapi.json': open200,
    'GET /docs': open200,
    'GET /docs/swagger-ui.css': open200,
    'GET /docs/swagger-ui-bundle.js': open200,
    'GET /docs/favicon-32x32.png': open200,
    'GET /docs/start.js': open200,
    'GET /admin': { statuses: alike(302) },
    'GET /admin/login': open200,
    // A form alone signs in here, whatever token comes along.
    'POST /admin/login': {
      statuses: alike(401),
      send: () => ({ form: { userId: 'root', password } }),
    },
    'GET /admin/logout': open200,
    'POST /admin/logout': { statuses: alike(303), send: () => ({ form: {} }) },
  }
}
