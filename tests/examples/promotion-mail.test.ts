import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { payloadOf, signedHeaders, testPayloadOf } from '@ticket-line/webhooks'
import { afterEach, describe, expect, it } from 'vitest'
import { startMailbox } from '../../examples/promotion-mail/mailbox.ts'
import { createReceiver } from '../../examples/promotion-mail/receiver.ts'
import { run } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { startSystem } from '../stack/system.ts'

/** A secret as `POST /webhooks` returns it. */
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** The receiver with a mailbox of its own. */
async function start(smtp: { url?: string } = {}) {
  const mailbox = await startMailbox()
  closers.push(mailbox.close)
  const receiver = createReceiver({
    secret: SECRET,
    smtpUrl: smtp.url ?? mailbox.smtpUrl,
    from: 'tickets@example.com',
  }).listen(0, '127.0.0.1')
  closers.push(() => new Promise((resolve) => receiver.close(resolve)))
  await once(receiver, 'listening')
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`
  return {
    mails: mailbox.mails,
    /** Sends a message as the notifier does. @returns the status of the answer */
    async send(body: string, { id = 'msg_1', at = new Date(), secret = SECRET } = {}) {
      const headers = signedHeaders(id, at, body, [secret])
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      })
      return response.status
    },
  }
}

/** The message that Bob was promoted. */
function promotion(data: { expiresAtMs?: number } = {}): string {
  return payloadOf(
    [
      {
        eventId: 7,
        no: 12,
        type: 'waitlist.promoted',
        atMs: Date.UTC(2030, 0, 31),
        userId: 'bob@example.com',
        sequence: 4,
        actor: 'ada@example.com',
        commandId: 'event-7.x.1.0',
        data,
      },
    ],
    { format: 'single', epoch: 'e1' },
  )
}

describe('the receiver of the promotion mail example', () => {
  it('mails a person who is promoted', async () => {
    const { mails, send } = await start()

    expect(await send(promotion())).toBe(204)

    expect(mails).toHaveLength(1)
    expect(mails[0]?.to).toEqual(['bob@example.com'])
    expect(mails[0]?.source).toMatch(/^Subject: You have a ticket for event 7\r$/m)
    expect(mails[0]?.source).toContain('See you there.')
  })

  it('names the deadline of an offer', async () => {
    const { mails, send } = await start()

    await send(promotion({ expiresAtMs: Date.UTC(2030, 1, 1, 12) }))

    expect(mails[0]?.source).toContain('Please confirm it by 2030-02-01T12:00:00.000Z.')
  })

  it('sends one mail if the same message comes twice', async () => {
    const { mails, send } = await start()

    expect([await send(promotion()), await send(promotion())]).toEqual([204, 204])

    expect(mails).toHaveLength(1)
    expect(mails[0]?.source).toMatch(/^Message-ID: <msg_1@ticket-line.example>\r$/m)
  })

  it('sends no mail for a test message', async () => {
    const { mails, send } = await start()

    expect(await send(testPayloadOf('w1', Date.now()))).toBe(204)

    expect(mails).toEqual([])
  })

  it('refuses a message with the signature of another secret, and one that is too old', async () => {
    const { mails, send } = await start()
    const secret = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
    const at = new Date(Date.now() - 10 * 60_000)

    expect(await send(promotion(), { secret })).toBe(401)
    expect(await send(promotion(), { at })).toBe(401)

    expect(mails).toEqual([])
  })

  it('asks for the message again if the mail could not be sent', async () => {
    const { send } = await start({ url: 'smtp://127.0.0.1:1' })

    expect(await send(promotion())).toBe(503)
  })
})

it('runs the demonstration of the promotion mail example', async () => {
  const admin = { ADMIN_USER: 'root', ADMIN_PASSWORD: 'a long passphrase' }
  const port = await freePort()
  const system = await startSystem({
    notifiers: 1,
    env: {
      ...admin,
      WEBHOOK_SECRET_KEY: 'ab'.repeat(32),
      WEBHOOK_ALLOW_HOSTS: `127.0.0.1:${port}`,
    },
  })
  closers.push(system.stop)
  const env = { ...process.env, ...admin, BASE_URL: system.apis[0]?.url, PORT: String(port) }

  const main = fromRoot('examples/promotion-mail/main.ts')
  const shown = await run(process.execPath, [main], { env })

  expect(shown).toMatch(/^Mail to bob@example\.com:$/m)
  expect(shown).toMatch(/^Please confirm it by \d{4}-\d\d-\d\dT[\d:.]+Z\.\r?$/m)
})
