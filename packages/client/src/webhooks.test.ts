import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { verifyWebhook, WebhookVerificationError } from './webhooks.js'

const secretOf = (byte: number) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`
const SECRET = secretOf(7)
const message = {
  type: 'waitlist.promoted',
  timestamp: '2030-01-31T18:00:00.000Z',
  data: { epoch: 'e', eventId: 1001, no: 3, userId: 'ada' },
}
const body = JSON.stringify(message)

/** Headers that the reference library of Standard Webhooks makes. */
function headersOf({ secrets = [SECRET], ageS = 0, text = body } = {}): Record<string, string> {
  const at = new Date(Date.now() - ageS * 1000)
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets
      .map((secret) => new Webhook(secret).sign('msg_1', at, text))
      .join(' '),
  }
}

describe('verifyWebhook', () => {
  it('returns the id and the message of a signed request', async () => {
    const verified = await verifyWebhook({ headers: headersOf(), body, secret: SECRET })
    expect(verified).toEqual({ id: 'msg_1', message })
  })

  it('takes the headers of fetch, too', async () => {
    const headers = new Headers(headersOf())
    expect(await verifyWebhook({ headers, body, secret: SECRET })).toMatchObject({ id: 'msg_1' })
  })

  it('verifies a body that is not ASCII', async () => {
    const text = JSON.stringify({ ...message, data: { ...message.data, userId: 'Zoë 🎟' } })
    const verified = await verifyWebhook({
      headers: headersOf({ text }),
      body: text,
      secret: SECRET,
    })
    expect(verified.message.data).toMatchObject({ userId: 'Zoë 🎟' })
  })

  it('accepts both secrets during a rotation, on either side', async () => {
    const [old, next] = [secretOf(1), secretOf(2)]
    const signedWithBoth = headersOf({ secrets: [next, old] })
    for (const secret of [old, next, [old, next]])
      expect(await verifyWebhook({ headers: signedWithBoth, body, secret })).toBeDefined()
    const signedWithOld = headersOf({ secrets: [old] })
    expect(await verifyWebhook({ headers: signedWithOld, body, secret: [next, old] })).toBeDefined()
  })

  it.each([
    ['another secret', { headers: headersOf({ secrets: [secretOf(8)] }), body }],
    ['another body', { headers: headersOf(), body: body.replace('ada', 'eve') }],
    ['another id', { headers: { ...headersOf(), 'webhook-id': 'msg_2' }, body }],
    ['a time long ago', { headers: headersOf({ ageS: 301 }), body }],
    ['a time in the future', { headers: headersOf({ ageS: -400 }), body }],
    ['no time', { headers: { ...headersOf(), 'webhook-timestamp': 'soon' }, body }],
    ['no signature', { headers: { ...headersOf(), 'webhook-signature': '' }, body }],
    ['half a signature', { headers: { ...headersOf(), 'webhook-signature': 'v1,AAAA' }, body }],
    ['no base64', { headers: { ...headersOf(), 'webhook-signature': 'v1,!' }, body }],
    ['no id', { headers: { ...headersOf(), 'webhook-id': undefined }, body }],
  ])('refuses %s', async (_, request) => {
    await expect(verifyWebhook({ ...request, secret: SECRET })).rejects.toThrow(
      WebhookVerificationError,
    )
  })
})
