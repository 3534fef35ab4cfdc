import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Client } from './client.ts'
import { createTypedClient } from './typed-client.ts'

const decision = {
  message: 'Ticket booked',
  outcome: 'booked',
  jobId: 'event-1.x.1.0',
  eventId: 1,
  userId: 'ada',
  bookingId: '1-1',
  decidedAt: '2030-01-31T18:00:00.000Z',
}
const documentedHeaders = {
  'content-type': 'application/json',
  'x-request-id': 'r',
  ratelimit: 'limit=1',
  'ratelimit-policy': '1;w=1',
}

const received: { headers: IncomingHttpHeaders; url: string | undefined; body: string }[] = []
let answer: object = decision
const server = createServer(async (request, response) => {
  const { headers, url } = request
  received.push({ headers, url, body: await text(request) })
  response.writeHead(200, documentedHeaders).end(JSON.stringify(answer))
})
let client: Client

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  client = createTypedClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
beforeEach(() => {
  received.length = 0
  answer = decision
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

describe('the client of the second run of the contract suite', () => {
  it('sends commands with the functions of the client, and shows what the test asked for', async () => {
    expect((await client.post('/book', { eventId: 1 })).body).toEqual({ message: 'Ticket booked' })
    const headers = { prefer: 'return=representation', 'idempotency-key': 'k' }
    const whole = await client.post('/book', { eventId: 1 }, { headers, token: 't' })
    expect(whole.body).toEqual(decision)
    expect(received.map((one) => one.headers)).toMatchObject([
      { prefer: 'return=representation', 'idempotency-key': expect.stringMatching(/^\w{32}$/) },
      { prefer: 'return=representation', 'idempotency-key': 'k', authorization: 'Bearer t' },
    ])
  })

  it('sends other calls by their templates, with parameters of their types', async () => {
    answer = { events: [], next: null }
    const path = '/events?state=open,paused&mine=true&limit=5&after=a%3D'
    expect((await client.get(path)).body).toEqual(answer)
    const { url = '' } = received[0] ?? {}
    expect(new URLSearchParams(url.split('?')[1]).toString()).toBe(
      new URLSearchParams(path.split('?')[1]).toString(),
    )
  })

  it.each([
    ['a wrong type', '/book', { eventId: 'one' }, {}],
    ['an unknown member', '/book', { eventId: 1, seats: 2 }, {}],
    ['a missing member', '/book', {}, {}],
    ['an unknown header', '/book', { eventId: 1 }, { 'x-forwarded-for': '1.2.3.4' }],
    ['an unknown path', '/boook', { eventId: 1 }, {}],
  ])('sends a request with %s as it is', async (_, path, body, headers) => {
    await client.post(path, body, { headers })
    expect(received).toMatchObject([{ url: path, body: JSON.stringify(body) }])
    expect(received[0]?.headers['idempotency-key']).toBeUndefined()
  })

  it('refuses responses that the types do not promise', async () => {
    answer = { eventId: 1, availableTickets: 2, waitingListCount: 0, seats: 2 }
    await expect(client.get('/status/1')).rejects.toThrow('GET /status/{eventId} 200')
  })
})
