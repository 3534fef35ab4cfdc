/**
 * Runs the checkout against a running ticket-line: five buyers want four tickets, and each of them
 * pays in another way. `README.md` explains how to start it.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTicketLine, dataOf, hasCode } from '@ticket-line/client'
import { type Card, createPayments, startProvider } from './provider.ts'
import { type Order, startShop } from './shop.ts'

const baseUrl = process.env['BASE_URL'] ?? 'http://localhost:3000'
const userId = process.env['ADMIN_USER'] ?? 'admin'
const password = process.env['ADMIN_PASSWORD']
if (password === undefined) throw new Error('Set ADMIN_PASSWORD to the password npm start prints.')
const log = (line: string): void => console.log(line)

/** Calls the shop. */
// biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
async function call(method: string, url: string, body?: object): Promise<any> {
  const headers = { 'content-type': 'application/json' }
  const init =
    body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) }
  const response = await fetch(url, init)
  return { status: response.status, body: await response.json() }
}

/** Signs in. @returns a client with the token of this user */
async function signIn(account: { userId: string; password: string }) {
  const { api } = createTicketLine({ baseUrl })
  const { token } = await dataOf(api.POST('/login', { body: account }))
  return createTicketLine({ baseUrl, token })
}

async function expectSoon(what: string, check: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await check()); await sleep(200))
    if (Date.now() > deadline) throw new Error(`Not within a minute: ${what}`)
}

const tickets = await signIn({ userId, password })
const { eventId } = await tickets.createEvent({
  name: 'Checkout example',
  totalTickets: 4,
  holdSeconds: 6,
  maxHoldSeconds: 9,
  confirmation: 'staff',
  listed: false,
})
// The shop can act for its buyers at this event, and do nothing else.
const { id, key } = await dataOf(
  tickets.api.POST('/api-keys', {
    body: { name: 'Checkout example', scopes: ['bookings:write'], eventIds: [eventId] },
  }),
)
log(`Event ${eventId} has 4 tickets, which are held for 6 s, and for 9 s at most.`)

const providerSecret = randomBytes(32).toString('hex')
const provider = await startProvider(providerSecret)
const ticketLine = { baseUrl, token: key, eventId }
const shop = await startShop({ ticketLine, providerUrl: provider.url, providerSecret, log })
const payments = createPayments(provider.url)

// A new name in each run, because the accounts remain.
const run = randomBytes(3).toString('hex')
const order = (buyer: string, card: Card) =>
  call('POST', `${shop.url}/orders`, { buyer: `${buyer}-${run}`, card })
const read = async ({ orderId }: Order): Promise<Order> =>
  (await call('GET', `${shop.url}/orders/${orderId}`)).body
const expectState = (started: Order, kind: Order['state']['kind']) =>
  expectSoon(`${started.buyer} is ${kind}`, async () => (await read(started)).state.kind === kind)

try {
  const prompt: Order = (await order('prompt', 'prompt')).body
  const twice: Order = (await order('twice', 'twice')).body
  const silent: Order = (await order('silent', 'silent')).body
  const slow: Order = (await order('slow', 'slow')).body

  const account = { userId: `slow-${run}`, password: randomBytes(12).toString('hex') }
  await dataOf(tickets.api.POST('/register', { body: account }))
  const buyer = await signIn(account)
  const refusal = await buyer.confirm({ eventId }).catch((error: unknown) => error)
  if (!hasCode(refusal)) throw refusal
  log(`slow-${run}: confirming without paying is refused with ${refusal.status} ${refusal.code}`)

  const next = await order('next', 'prompt')
  log(`next-${run}: position ${next.body.waiting} in the waiting list`)
  await expectState(slow, 'unpaid')
  await expectSoon('the next buyer has the offer', async () => {
    return (await order('next', 'prompt')).status === 201
  })
  await payments.complete(slow.paymentId)

  await expectState(prompt, 'confirmed')
  await expectState(twice, 'confirmed')
  await expectState(silent, 'confirmed')
  await expectState(slow, 'refunded')
  const params = { path: { eventId } }
  const status = await dataOf(tickets.api.GET('/status/{eventId}', { params }))
  log(`Free tickets: ${status.availableTickets}. On the waiting list: ${status.waitingListCount}.`)
} finally {
  await shop.close()
  await provider.close()
  await tickets.api.DELETE('/api-keys/{id}', { params: { path: { id } } })
}
