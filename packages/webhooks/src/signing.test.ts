import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { newSecret } from './secrets.js'
import { messageIdOf, signedHeaders } from './signing.js'

const now = new Date()
const body = '{"type":"booking.confirmed","timestamp":"2030-01-31T18:00:00.000Z","data":{}}'

describe('signedHeaders', () => {
  // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
  it('gives the published signature of Standard Webhooks', () => {
    const headers = signedHeaders(
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      new Date(1_614_265_330_000),
      '{"test": 2432232314}',
      ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    )
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('makes signatures that the reference library accepts', () => {
    const secret = newSecret()
    const headers = signedHeaders('msg_1', now, body, [secret])
    expect(new Webhook(secret).verify(body, { ...headers })).toEqual(JSON.parse(body))
  })

  it('makes signatures that either of two secrets verifies', () => {
    const [current, previous] = [newSecret(), newSecret()]
    const headers = signedHeaders('msg_1', now, body, [current, previous])
    expect(headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/)
    for (const secret of [current, previous])
      expect(new Webhook(secret).verify(body, { ...headers })).toBeDefined()
    expect(() => new Webhook(newSecret()).verify(body, { ...headers })).toThrow()
  })

  it('signs the id, the time and the body', () => {
    const secret = newSecret()
    const headers = { ...signedHeaders('msg_1', now, body, [secret]) }
    const webhook = new Webhook(secret)
    const later = String(Number(headers['webhook-timestamp']) + 1)
    expect(() => webhook.verify(`${body} `, headers)).toThrow()
    expect(() => webhook.verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow()
    expect(() => webhook.verify(body, { ...headers, 'webhook-timestamp': later })).toThrow()
  })

  it('signs text beyond ASCII as UTF-8', () => {
    const secret = newSecret()
    const text = JSON.stringify({ userId: 'Zoë 🎟' })
    const headers = signedHeaders('msg_1', now, text, [secret])
    expect(new Webhook(secret).verify(Buffer.from(text), { ...headers })).toEqual(JSON.parse(text))
  })
})

describe('messageIdOf', () => {
  const identity = { epoch: 'e', eventId: 1, no: 2, lastNo: 2, webhookId: 'w' }

  it('is the same for the same message', () => {
    expect(messageIdOf(identity)).toBe(messageIdOf({ ...identity }))
    expect(messageIdOf(identity)).toMatch(/^msg_[\w-]{27}$/)
  })

  it('differs for another epoch, event, change, batch or webhook', () => {
    const ids = [
      identity,
      { ...identity, epoch: 'f' },
      { ...identity, eventId: 12 },
      { ...identity, no: 22 },
      { ...identity, lastNo: 3 },
      { ...identity, webhookId: 'x' },
    ].map(messageIdOf)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
