import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { type AppRoute, readRoutingTable } from '@ticket-line/api/routes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import type { RequestOptions } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { CALLERS, type Caller, KEY_CALLERS, type KeyCaller, keysOf, tokensOf } from './callers.ts'
import { type Expectation, expectations, keyStatusesOf } from './expectations.ts'

const BOARD = '/admin/queues'
const scenes = {
  roles: { booked: 11, open: 12, firstFree: 1001 },
  keys: { booked: 21, open: 22, firstFree: 2001 },
}
const expected = expectations(scenes.roles)
const expectedOfKeys = expectations(scenes.keys)
const routes = await readRoutingTable()
/** A file of the pages. Its name changes with its content. */
const assets = readdirSync(fromRoot('packages/web/dist/assets'))
const asset = assets.find((name) => name.endsWith('.js')) ?? ''
const nameOf = ({ method, path }: AppRoute): string => `${method} ${path}`
const isBoard = ({ path }: AppRoute): boolean => path === BOARD || path.startsWith(`${BOARD}/`)

let system: System
let tokens: Record<Caller, string | undefined>
let keys: Record<KeyCaller, string>
/** A job for each event with bookings. */
const jobIds = new Map<number, string>()

beforeAll(async () => {
  const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  system = await startSystem({
    env: { JWT_PRIVATE_KEYS: String(key), WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex') },
  })
  tokens = await tokensOf(system.jwtSecret)
  const { organizer: token = '', user = '' } = tokens
  for (const { booked, open } of Object.values(scenes)) {
    for (const eventId of [booked, open]) {
      expect(
        await system.api.post('/initialize', { eventId, totalTickets: 100 }, { token }),
      ).toMatchObject({
        status: 201,
      })
    }
    for (const userId of ['olga', 'root', 'guest']) {
      const answer = await system.api.post('/book', { eventId: booked, userId }, { token })
      expect(answer).toMatchObject({ status: 200 })
    }
    const own = await system.api.post('/book', { eventId: booked }, { token: user })
    expect(own).toMatchObject({ status: 200, body: { message: 'Ticket booked' } })
    jobIds.set(booked, own.headers.get('location')?.split('/').at(-1) ?? '')
  }
  keys = await keysOf(system.api, token, scenes.roles.open)
  const victim = { userId: 'victim', password: 'tall ferns by the river' }
  expect(await system.api.post('/register', victim)).toMatchObject({ status: 201 })
}, 120_000)
afterAll(() => system?.stop())

/** The path with each parameter replaced by the id of something that exists. */
function fillPath(path: string, eventId: number): string {
  const values: Record<string, string> = {
    ':eventId': String(eventId),
    ':jobId': jobIds.get(eventId) ?? '',
    ':userId': 'victim',
    ':id': 'b54b1d9a-6a61-4f0c-9d3f-0f6b8a8f8d11',
    ':queueName': `event-${eventId}`,
    ':queueStatus': 'completed',
    ':schedulerId': 'some',
    ':name': asset,
    '*': 'favicon.ico',
  }
  return path
    .split('/')
    .map((part) => values[part] ?? part)
    .join('/')
}

interface Answer {
  status: number
  code: unknown
}

/** What callers get, in their order. */
async function answersOf<C extends Caller | KeyCaller>(
  { method, path }: AppRoute,
  eventId: number,
  send: Expectation['send'],
  credentials: readonly (readonly [C, string | undefined])[],
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const [caller, token] of credentials) {
    const { body, form } = send?.(caller) ?? {}
    const options: RequestOptions = { ...(token !== undefined && { token }) }
    if (form !== undefined) {
      options.rawBody = new URLSearchParams(form).toString()
      options.headers = { 'content-type': 'application/x-www-form-urlencoded' }
    }
    const answer = await system.api.request(method, fillPath(path, eventId), body, options)
    answers.push({ status: answer.status, code: answer.body?.code })
  }
  return answers
}

/** The status each caller gets, in the order of `CALLERS`. */
async function statusesOf(route: AppRoute, send: Expectation['send']): Promise<number[]> {
  const credentials = CALLERS.map((caller) => [caller, tokens[caller]] as const)
  return (await answersOf(route, scenes.roles.booked, send, credentials)).map(
    ({ status }) => status,
  )
}

it('has an expectation for every route of the application and for no other', () => {
  const own = routes.filter((route) => !isBoard(route)).map(nameOf)
  expect(own.toSorted()).toEqual(Object.keys(expected).toSorted())
})

it('has an expectation for every route in the OpenAPI document', async () => {
  const { body } = await system.api.get('/openapi.json')
  const described = Object.entries(body.paths as Record<string, object>).flatMap(([path, calls]) =>
    Object.keys(calls).map(
      (method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    ),
  )
  expect(described.length).toBeGreaterThan(15)
  expect(Object.keys(expected)).toEqual(expect.arrayContaining(described))
})

describe('access with API keys', () => {
  it.each(
    routes.filter((route) => !isBoard(route)).map((route) => [nameOf(route), route] as const),
  )('gives a key of each scope the expected status at %s', async (name, route) => {
    const expectation = expectedOfKeys[name] as Expectation
    const credentials = KEY_CALLERS.map((caller) => [caller, keys[caller]] as const)
    const answers = await answersOf(route, scenes.keys.booked, expectation.send, credentials)
    expect(answers.map(({ status }) => status)).toEqual(keyStatusesOf(expectation))
    for (const { status, code } of answers)
      if (status === 403) expect(code).toBe('insufficient_scope')
  })
})

describe('access by role and token', () => {
  it.each(
    routes.filter((route) => !isBoard(route)).map((route) => [nameOf(route), route] as const),
  )('gives each of the seven callers the expected status at %s', async (name, route) => {
    const expectation = expected[name]
    expect(expectation, 'a route without an expectation').toBeDefined()
    expect(await statusesOf(route, expectation?.send)).toEqual(expectation?.statuses)
  })

  // Rules for every route of the board: only admins may read, and nobody may write.
  const board = routes.filter(isBoard)
  it.each(board.map((route) => [nameOf(route), route] as const))(
    'lets only admins read and nobody write on the board at %s',
    async (_name, route) => {
      const body = route.method === 'GET' ? undefined : {}
      const [nobody, user, other, organizer, admin, expired, forged] = await statusesOf(
        route,
        () => ({ body }),
      )
      expect([nobody, user, other, organizer, expired, forged]).toEqual([
        401, 403, 403, 403, 401, 401,
      ])
      if (route.method !== 'GET') expect(admin).toBe(403)
      // 403: the list of workers shows addresses of machines, so the board hides it by default.
      else expect([200, 308, 400, 404, 403]).toContain(admin)
    },
  )

  it('finds more than 15 routes of the board that write', () => {
    expect(board.filter(({ method }) => method !== 'GET').length).toBeGreaterThan(15)
  })
})
