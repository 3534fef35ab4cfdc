import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasNginx, makeCertificate, startEcho, startNginx } from './nginx-kit.ts'

/** Sends a request over HTTP/1.1 and TLS. */
async function getSecurely(url: string, ca: string, headers: Record<string, string> = {}) {
  const sent = request(new URL('/status/1', url), { ca, headers, agent: false }).end()
  const [response] = await once(sent, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { headers: response.headers as IncomingHttpHeaders, status: response.statusCode, body }
}

describe.skipIf(!hasNginx)('nginx with the profile tls', () => {
  it('serves HTTP/1.1 and HTTP/2 and tells browsers to use HTTPS only', async () => {
    const { url, ca } = await startNginx(await startEcho(), 'https')
    const first = await getSecurely(url, ca)
    expect(first.status).toBe(200)
    expect(first.headers['strict-transport-security']).toBe('max-age=63072000')
    expect(JSON.parse(first.body)).toMatchObject({ 'x-forwarded-proto': 'https' })

    const session = connectHttp2(url, { ca })
    onTestFinished(() => session.close())
    const stream = session.request({ ':path': '/status/1', 'x-forwarded-for': '203.0.113.9' })
    const [headers] = await once(stream, 'response')
    let body = ''
    for await (const chunk of stream) body += chunk
    expect(session.alpnProtocol).toBe('h2')
    expect(headers[':status']).toBe(200)
    // Without TRUSTED_PROXIES, the last entry is the address of the socket.
    expect(JSON.parse(body)).toMatchObject({
      host: new URL(url).host,
      'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    })
  })

  it('sends Strict-Transport-Security with its own refusals, but not for localhost', async () => {
    const { url, ca } = await startNginx(await startEcho(), 'https')
    const sent = request(new URL('/book', url), {
      method: 'POST',
      ca,
      headers: { 'content-length': String(100_000) },
    }).end('x'.repeat(100_000))
    sent.on('error', () => undefined)
    const [refused] = await once(sent, 'response')
    expect(refused.statusCode).toBe(413)
    expect(refused.headers['strict-transport-security']).toBe('max-age=63072000')
    refused.resume()
    const local = await getSecurely(url, ca, { host: 'localhost:8443' })
    expect(local.headers['strict-transport-security']).toBeUndefined()
  })

  it.each([
    ['accepts', 'TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    ['refuses', 'TLSv1.2', 'ECDHE-ECDSA-AES256-SHA384'],
    ['refuses', 'TLSv1.1', 'ECDHE-ECDSA-AES128-SHA'],
  ] as const)('%s a client with %s and %s', async (verb, version, cipher) => {
    const { url, ca } = await startNginx(await startEcho(), 'https')
    const socket = connectTls({
      host: '127.0.0.1',
      port: Number(new URL(url).port),
      ca,
      minVersion: version,
      maxVersion: version,
      ciphers: `${cipher}:@SECLEVEL=0`,
    })
    onTestFinished(() => void socket.destroy())
    const connected = await once(socket, 'secureConnect').then(
      () => true,
      () => false,
    )
    expect(connected).toBe(verb === 'accepts')
  })

  it('redirects plain HTTP with the same method to the port of HTTPS', async () => {
    const settings = { COMPOSE_PROFILES: 'backup,tls', HTTPS_PORT: '8443' }
    const { url } = await startNginx(await startEcho(), 'http', settings)
    const answer = await fetch(`${url}/book?a=1`, { method: 'POST', redirect: 'manual' })
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe('https://127.0.0.1:8443/book?a=1')
  })

  it('leaves the standard port of HTTPS out of the redirect', async () => {
    const settings = { COMPOSE_PROFILES: 'tls', HTTPS_PORT: '443' }
    const { url } = await startNginx(await startEcho(), 'http', settings)
    const answer = await fetch(`${url}/`, { redirect: 'manual' })
    expect(answer.headers.get('location')).toBe('https://127.0.0.1/')
  })
})

it.skipIf(!hasNginx)(
  'makes a certificate for localhost from the script of the documentation',
  () => {
    expect(readdirSync(makeCertificate()).toSorted()).toEqual(['fullchain.pem', 'privkey.pem'])
  },
)
