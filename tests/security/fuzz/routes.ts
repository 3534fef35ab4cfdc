import type { Random } from '../../random.ts'

/** A call, the least that its caller needs, and a valid body if it has one. */
export interface FuzzRoute {
  method: string
  path: string
  needs: 'nothing' | 'token' | 'staff' | 'admin'
  body?: Record<string, unknown>
  /** Values of query parameters, good and bad ones. */
  query?: Record<string, readonly string[]>
}

// Too short to be valid. A password of valid length would cost a hash on every call, and the API
// computes only a few at a time.
const password = 'short'

export const FUZZ_ROUTES: readonly FuzzRoute[] = [
  { method: 'POST', path: '/register', needs: 'nothing', body: { userId: 'u', password } },
  { method: 'POST', path: '/login', needs: 'nothing', body: { userId: 'u', password } },
  { method: 'POST', path: '/token/refresh', needs: 'nothing', body: { refreshToken: 'x' } },
  { method: 'POST', path: '/logout', needs: 'nothing', body: { refreshToken: 'x' } },
  { method: 'POST', path: '/book', needs: 'token', body: { eventId: 1 } },
  { method: 'POST', path: '/cancel', needs: 'token', body: { eventId: 1 } },
  { method: 'POST', path: '/confirm', needs: 'token', body: { eventId: 1, bookingId: '1-1' } },
  { method: 'POST', path: '/extend', needs: 'staff', body: { eventId: 1, seconds: 60 } },
  { method: 'PATCH', path: '/events/:id', needs: 'staff', body: { name: 'x', sales: 'open' } },
  { method: 'POST', path: '/events/:id/grants', needs: 'staff', body: { userId: 'u' } },
  { method: 'POST', path: '/events/3/cancel', needs: 'staff', body: { reason: 'x' } },
  { method: 'GET', path: '/events/:id/organizers', needs: 'staff' },
  { method: 'PUT', path: '/events/:id/organizers', needs: 'staff', body: { userIds: ['u'] } },
  { method: 'PUT', path: '/events/3/owner', needs: 'staff', body: { userId: 'olga' } },
  { method: 'GET', path: '/jobs/:id', needs: 'token' },
  { method: 'GET', path: '/events/:id/me', needs: 'token' },
  { method: 'GET', path: '/me/bookings', needs: 'token' },
  { method: 'POST', path: '/initialize', needs: 'staff', body: { eventId: 1, totalTickets: 9 } },
  { method: 'POST', path: '/events', needs: 'staff', body: { totalTickets: 9, name: 'n' } },
  { method: 'GET', path: '/events/:id/bookings', needs: 'staff' },
  { method: 'GET', path: '/events/:id/waiting-list', needs: 'staff' },
  {
    method: 'GET',
    path: '/events/:id/changes',
    needs: 'staff',
    query: {
      after: ['0', '1', '2', '01', '-1', '1.5', '9007199254740991', '9007199254740992', '%00'],
      type: ['event.created', 'booking.confirmed,event.sold_out', 'event', ',', '', '__proto__'],
      epoch: ['x', '', '00000000-0000-0000-0000-000000000000', '%ff'],
    },
  },
  { method: 'GET', path: '/events/:id/stream', needs: 'nothing' },
  { method: 'GET', path: '/events/:id/me/stream', needs: 'token' },
  {
    method: 'POST',
    path: '/webhooks',
    needs: 'staff',
    body: {
      url: 'https://crm.example.com/hook',
      types: ['event.canceled'],
      eventIds: [1],
      format: 'batch',
      description: 'd',
    },
  },
  { method: 'GET', path: '/webhooks/:id', needs: 'staff' },
  { method: 'PATCH', path: '/webhooks/:id', needs: 'staff', body: { types: null, disabled: true } },
  { method: 'DELETE', path: '/webhooks/:id', needs: 'staff' },
  { method: 'POST', path: '/webhooks/:id/test', needs: 'staff' },
  {
    method: 'POST',
    path: '/webhooks/:id/replay',
    needs: 'staff',
    body: { eventId: 1, from: 1, to: 2 },
  },
  { method: 'GET', path: '/webhooks/:id/deliveries', needs: 'staff' },
  {
    method: 'POST',
    path: '/api-keys',
    needs: 'staff',
    body: {
      name: 'k',
      scopes: ['bookings:write'],
      eventIds: [1],
      expiresAt: '2130-01-31T20:00:00+02:00',
      rateLimit: { requests: 5, windowSeconds: 1 },
    },
  },
  { method: 'DELETE', path: '/api-keys/:id', needs: 'staff' },
  { method: 'POST', path: '/api-keys/:id/rotate', needs: 'staff' },
  { method: 'PUT', path: '/users/:id/role', needs: 'admin', body: { role: 'admin' } },
  { method: 'PUT', path: '/users/:id/disabled', needs: 'admin', body: { disabled: true } },
  { method: 'GET', path: '/admin/queues', needs: 'admin' },
  { method: 'GET', path: '/admin/queues/api/queues', needs: 'admin' },
  { method: 'PUT', path: '/admin/queues/api/queues/event-1/:id', needs: 'admin', body: {} },
  { method: 'GET', path: '/status/:id', needs: 'nothing' },
  { method: 'GET', path: '/events', needs: 'nothing' },
  { method: 'GET', path: '/events/:id', needs: 'nothing' },
  { method: 'GET', path: '/livez', needs: 'nothing' },
  { method: 'GET', path: '/docs', needs: 'nothing' },
  { method: 'GET', path: '/e/:id', needs: 'nothing' },
  { method: 'GET', path: '/assets/:id', needs: 'nothing' },
  { method: 'POST', path: '/admin/login', needs: 'nothing', body: { userId: 'u', password } },
]

const IDS = [
  '1',
  '2',
  '3',
  '40',
  '0',
  '-1',
  '01',
  '1.0',
  '1e3',
  '9007199254740991',
  '9007199254740992',
  '99999999999999999999',
  'NaN',
  'Infinity',
  '0x1',
  '%31',
  '１',
  '%00',
  '%0a',
  '%2f',
  '%ff',
  '%',
  '%zz',
  '%c0%af',
  '%ed%a0%80',
  '..',
  '.',
  '*',
  ':eventId',
  '__proto__',
  'constructor',
  'event-1.000000000aaaaaaaaaaaa.1.0',
  'event-1.000000000aaaaaaaaaaaa.999999.255',
  'line-0.x.1.0',
  'event-1.',
  '{s0}',
  "1'--",
  '1;DROP',
  '$1',
  '\\',
  '',
  'u1',
  'null',
  'undefined',
  '%F0%9F%8E%9F',
]

/** Fills in an id, usually an unusual one, and sometimes adds a query. */
export function fillPath({ path, query = {} }: FuzzRoute, random: Random): string {
  const filled = path.replace(':id', () =>
    random.chance(0.3) ? String(random.between(1, 3)) : random.pick(IDS),
  )
  const own = Object.keys(query)
  if (own.length > 0 && random.chance(0.5)) {
    const name = random.pick(own)
    return `${filled}?${name}=${random.pick(query[name] ?? [])}`
  }
  if (random.chance(0.75)) return filled
  const names = ['limit', 'after', 'x', 'access_token', '__proto__', 'page', '%00', '']
  const values = [
    '1',
    '1000',
    '1001',
    '-1',
    '',
    'e30',
    'WyJldmVudHMiLDFd',
    '%',
    '%ff',
    '1&limit=2',
    'a'.repeat(50),
    '[]',
  ]
  return `${filled}?${random.pick(names)}=${random.pick(values)}`
}
