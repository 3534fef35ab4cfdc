/**
 * Runs the receiver against a running ticket-line: one ticket comes back, and the next person on
 * the waiting list gets a mail. `README.md` explains how to start it.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startMailbox } from './mailbox.ts'
import { createReceiver } from './receiver.ts'

const baseUrl = process.env['BASE_URL'] ?? 'http://localhost:3000'
const userId = process.env['ADMIN_USER'] ?? 'admin'
const password = process.env['ADMIN_PASSWORD']
if (password === undefined) throw new Error('Set ADMIN_PASSWORD to the password npm start prints.')

let token: string | undefined
// biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
async function call(method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(baseUrl + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

token = (await call('POST', '/login', { userId, password })).token
const sale = { name: 'Promotion mail example', totalTickets: 1, offerSeconds: 600, listed: false }
const { eventId } = await call('POST', '/events', sale)

// The webhook is created before the receiver starts, because the response has the secret that the
// receiver needs.
const port = Number(process.env['PORT'] ?? 8025)
const webhook = await call('POST', '/webhooks', {
  url: `http://127.0.0.1:${port}/`,
  types: ['waitlist.promoted'],
  eventIds: [eventId],
})
const mailbox = await startMailbox()
const receiver = createReceiver({
  secret: webhook.secret,
  smtpUrl: mailbox.smtpUrl,
  from: 'tickets@example.com',
}).listen(port, '127.0.0.1')
try {
  await once(receiver, 'listening')
  const { port: openPort } = receiver.address() as AddressInfo
  console.log(`Event ${eventId} has 1 ticket. Its promotions are sent to port ${openPort}.`)

  await call('POST', '/book', { eventId, userId: 'ada@example.com' })
  await call('POST', '/book', { eventId, userId: 'bob@example.com' })
  await call('POST', '/cancel', { eventId, userId: 'ada@example.com' })
  console.log('Ada has canceled. Bob, who is on the waiting list, gets an offer.')

  for (const deadline = Date.now() + 60_000; mailbox.mails.length === 0; await sleep(50))
    if (Date.now() > deadline) throw new Error('No mail within a minute. Is a notifier running?')
  for (const { to, source } of mailbox.mails) console.log(`Mail to ${to.join(', ')}:\n${source}`)
} finally {
  await call('DELETE', `/webhooks/${webhook.id}`)
  receiver.close()
  await mailbox.close()
}
