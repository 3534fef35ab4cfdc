import { randomBytes } from 'node:crypto'
import { type AppRoute, readRoutingTable } from '@ticket-line/api/routes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient, type Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

// Everything that only olga may see contains her name: her guests, the address of her webhook, the
// name of her key, and her id as the owner of the event. No answer to otto may contain it.
const SECRET = 'olga'
const GUEST = 'olga-guest'
const EVENT = 7000

/** All routes but those of the pages, the dashboard, and the document, whose examples name olga. */
const routes = (await readRoutingTable()).filter(
  ({ path }) => !/^\/(admin|docs|openapi\.json|$)/.test(path),
)
const nameOf = ({ method, path }: AppRoute): string => `${method} ${path}`

/** Calls that organizers make for themselves although they name an event that exists. */
const CREATES = new Set(['POST /initialize', 'POST /events'])
/** Calls that only admins may make, or that are not about what an organizer has. */
const NOT_OF_ORGANIZERS = ['/users', '/register', '/login', '/logout', '/token', '/me/password']
/** The statuses of calls that fail for olga, too. */
const FAILS_FOR_OLGA: Record<string, number> = {
  'POST /initialize': 409,
  // The guest has a hold, which lasts longer than the extension of the example.
  'POST /book': 409,
  'POST /extend': 409,
  'DELETE /events/:eventId': 409,
}
/** Calls after which the next ones could not succeed. They are made last, in this order. */
const LAST = [
  'POST /events/:eventId/grants',
  'POST /confirm',
  'POST /cancel',
  'PUT /events/:eventId/organizers',
  'POST /events/:eventId/cancel',
  'PATCH /webhooks/:id',
  'DELETE /webhooks/:id',
  'DELETE /api-keys/:id',
  'PUT /events/:eventId/owner',
  'DELETE /events/:eventId',
]

let system: System
/** The ids of what olga has, by the first part of the path. */
const ids: Record<string, string> = { webhooks: '', 'api-keys': '' }
let jobId: string
// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document has many shapes
let document: any

const tokenOf = (who: string) => system.token(who, who === 'nora' ? 'user' : 'organizer')

async function as(
  who: string,
  methodAndPath: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const [method = '', path = ''] = methodAndPath.split(' ')
  const api = createClient(system.apis[0]?.url ?? '')
  return api.request(method, path, body, { token: await tokenOf(who), headers })
}

/** A call about what olga has, with the body of the example in the OpenAPI document. */
function callOf({ method, path }: AppRoute): { call: string; body: unknown } {
  const values: Record<string, string> = {
    ':eventId': String(EVENT),
    ':jobId': jobId,
    ':userId': GUEST,
    ':id': ids[path.split('/')[1] ?? ''] ?? '',
  }
  const filled = path.split('/').map((part) => values[part] ?? part)
  const operation = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
  const example = operation?.requestBody?.content['application/json']?.example
  if (example === undefined) return { call: `${method} ${filled.join('/')}`, body: undefined }
  const body = { ...example }
  if (CLAIMS.has(path)) body.userId = GUEST
  if (!isNotOfOrganizers(path))
    for (const [name, value] of Object.entries({ eventId: EVENT, userId: GUEST, from: 1, to: 1 }))
      if (name in body) body[name] = value
  return { call: `${method} ${filled.join('/')}`, body }
}

/** Calls that a caller may make for somebody else. */
const CLAIMS = new Set(['/book', '/cancel', '/confirm', '/extend'])

const isNotOfOrganizers = (path: string): boolean =>
  NOT_OF_ORGANIZERS.some((start) => path.startsWith(start))

/** True if the call names something that olga has. */
function isAboutOlga(route: AppRoute): boolean {
  if (isNotOfOrganizers(route.path)) return false
  const { body } = callOf(route)
  return (
    /:(eventId|jobId|id)\b/.test(route.path) || (body as { eventId?: number })?.eventId === EVENT
  )
}

/** The answer as text, without what differs between two callers and two moments. */
const textOf = ({ status, body, headers }: Reply): string =>
  JSON.stringify([status, body, headers.get('content-type'), headers.get('location')])
    .replaceAll(/"serverTime":"[^"]*"/g, '')
    .replaceAll(/otto|nora/g, 'somebody')

/** Everything of olga that otto could change. */
async function stateOfOlga(): Promise<unknown> {
  const paths = [
    `/events/${EVENT}`,
    `/events/${EVENT}/bookings`,
    `/events/${EVENT}/bookings?standing=held`,
    `/events/${EVENT}/waiting-list`,
    `/events/${EVENT}/changes`,
    `/events/${EVENT}/organizers`,
    '/webhooks',
    '/api-keys',
    '/events?mine=true',
  ]
  return Promise.all(
    paths.map(async (path) => {
      const { serverTime: _, ...body } = (await as('olga', `GET ${path}`)).body
      return body
    }),
  )
}

beforeAll(async () => {
  system = await startSystem({
    env: { WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex'), RATE_LIMIT: '100000' },
  })
  document = (await createClient(system.apis[0]?.url ?? '').get('/openapi.json')).body
  const made = async (call: string, body: unknown, who = 'olga') => {
    const answer = await as(who, call, body)
    expect([answer.status, call]).toEqual([expect.toSatisfy((status) => status < 300), call])
    return answer
  }
  await made('POST /events', { eventId: EVENT, totalTickets: 2, holdSeconds: 600 })
  await made('POST /events', { eventId: EVENT + 1, totalTickets: 2 }, 'otto')
  await made('POST /book', { eventId: EVENT, userId: 'olga-booked' })
  await made('POST /confirm', { eventId: EVENT, userId: 'olga-booked' })
  const held = await made('POST /book', { eventId: EVENT, userId: GUEST })
  jobId = held.headers.get('location')?.split('/').at(-1) ?? ''
  await made('POST /book', { eventId: EVENT, userId: 'olga-waiting' })
  const webhook = { url: 'https://olga.example.com/hook', description: 'for olga' }
  ids.webhooks = (await made('POST /webhooks', webhook)).body.id
  if (routes.some(({ path }) => path === '/api-keys')) {
    const key = { name: 'key of olga', scopes: ['bookings:read'] }
    ids['api-keys'] = (await made('POST /api-keys', key)).body.id
  }
}, 120_000)
afterAll(() => system?.stop())

describe('an organizer', () => {
  it.each(routes.map((route) => [nameOf(route), route] as const))(
    'sees nothing of another organizer at %s',
    async (name, route) => {
      const { call, body } = callOf(route)
      const before = await stateOfOlga()
      for (const accept of ['application/json', 'text/csv', 'application/x-ndjson']) {
        const answer = await as('otto', call, body, { accept })
        expect(textOf(answer) + [...answer.headers]).not.toContain(SECRET)
        // A call that is not refused shows otto what it shows nora, who is a plain user.
        if (isAboutOlga(route) && !CREATES.has(name) && ![403, 404].includes(answer.status))
          expect(textOf(answer)).toBe(textOf(await as('nora', call, body, { accept })))
      }
      expect(await stateOfOlga()).toEqual(before)
    },
  )

  it('sees nothing of another organizer in the lists without an id', async () => {
    for (const path of ['/events?mine=true', '/events', '/webhooks', '/me/bookings', '/api-keys'])
      expect(textOf(await as('otto', `GET ${path}`))).not.toContain(SECRET)
    const { events } = (await as('otto', 'GET /events?mine=true')).body
    expect(events.map(({ eventId }: { eventId: number }) => eventId)).not.toContain(EVENT)
  })

  it('can make the calls that another organizer is refused about what is theirs', async () => {
    const order = ({ method, path }: AppRoute) => LAST.indexOf(`${method} ${path}`)
    const about = routes.filter(isAboutOlga).toSorted((a, b) => order(a) - order(b))
    expect(about.length).toBeGreaterThan(25)
    for (const route of about) {
      const { call, body } = callOf(route)
      const { status } = await as('olga', call, body)
      const expected = FAILS_FOR_OLGA[nameOf(route)] ?? expect.toSatisfy((it) => it < 300)
      expect([nameOf(route), status]).toEqual([nameOf(route), expected])
    }
  })
})
