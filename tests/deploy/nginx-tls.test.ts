import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  hasNginx,
  makeCertificate,
  startNginx,
  startScript,
  writeConfiguration,
} from './nginx-kit.ts'

/** Starts a server in the place of the API, which answers with the headers that it gets. */
async function startApi(): Promise<string> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.headers))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

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
    const { url, ca } = await startNginx(await startApi(), 'https')
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
    const { url, ca } = await startNginx(await startApi(), 'https')
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
    ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256', true],
    ['TLSv1.2', 'ECDHE-ECDSA-AES256-SHA384', false],
    ['TLSv1.1', 'ECDHE-ECDSA-AES128-SHA', false],
  ] as const)('lets a client connect with %s and %s: %s', async (version, cipher, works) => {
    const { url, ca } = await startNginx(await startApi(), 'https')
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
    expect(connected).toBe(works)
  })

  it('redirects plain HTTP with the same method to the port of HTTPS', async () => {
    const settings = { COMPOSE_PROFILES: 'backup,tls', HTTPS_PORT: '8443' }
    const { url } = await startNginx(await startApi(), 'http', settings)
    const answer = await fetch(`${url}/book?a=1`, { method: 'POST', redirect: 'manual' })
    expect(answer.status).toBe(308)
    expect(answer.headers.get('location')).toBe('https://127.0.0.1:8443/book?a=1')
  })

  it('leaves out the standard port of HTTPS', async () => {
    const settings = { COMPOSE_PROFILES: 'tls', HTTPS_PORT: '443' }
    const { url } = await startNginx(await startApi(), 'http', settings)
    const answer = await fetch(`${url}/`, { redirect: 'manual' })
    expect(answer.headers.get('location')).toBe('https://127.0.0.1/')
  })
})

describe.skipIf(!hasNginx)('the settings of nginx', () => {
  const forwarded = {
    'x-forwarded-for': '198.51.100.1, 203.0.113.9, 10.1.2.3',
    'x-forwarded-proto': 'https',
  }

  it('takes address and scheme of the client from the proxies in TRUSTED_PROXIES', async () => {
    const settings = { TRUSTED_PROXIES: '10.0.0.0/8, 127.0.0.1,2001:db8::/32' }
    const { url } = await startNginx(await startApi(), 'http', settings)
    const seen = (await (await fetch(url, { headers: forwarded })).json()) as Record<string, string>
    expect(seen['x-forwarded-for']?.split(', ').at(-1)).toBe('203.0.113.9')
    expect(seen['x-forwarded-proto']).toBe('https')
  })

  it('trusts nobody by default', async () => {
    const { url } = await startNginx(await startApi(), 'http')
    const seen = (await (await fetch(url, { headers: forwarded })).json()) as Record<string, string>
    expect(seen['x-forwarded-for']?.split(', ').at(-1)).toBe('127.0.0.1')
    expect(seen['x-forwarded-proto']).toBe('http')
  })

  it('lets pages of CORS_ORIGINS, and of no other origin, read what it refuses', async () => {
    const settings = { CORS_ORIGINS: 'https://shop.example, http://localhost:5173' }
    const { url } = await startNginx(await startApi(), 'http', settings)
    const readers = await Promise.all(
      ['https://shop.example', 'http://localhost:5173', 'https://other.example'].map(
        async (origin) => {
          const headers = { origin }
          const refused = await fetch(url, { method: 'POST', body: 'x'.repeat(100_000), headers })
          expect(refused.status).toBe(413)
          return refused.headers.get('access-control-allow-origin')
        },
      ),
    )
    expect(readers).toEqual(['https://shop.example', 'http://localhost:5173', null])
  })

  it.each<[what: string, server: 'http' | 'https', Record<string, string>, named: string]>([
    ['an invalid network', 'http', { TRUSTED_PROXIES: '10.0.0.0/8, lb; }' }, 'TRUSTED_PROXIES'],
    ['an invalid origin', 'http', { CORS_ORIGINS: 'https://a.example";' }, 'CORS_ORIGINS'],
    ['an invalid port', 'http', { HTTPS_PORT: '443;' }, 'HTTPS_PORT'],
    ['TLS without the setting that redirects plain HTTP', 'https', {}, 'COMPOSE_PROFILES'],
    [
      'TLS without a certificate',
      'https',
      { COMPOSE_PROFILES: 'tls', CERTIFICATES: '/nowhere' },
      'TLS_FOLDER',
    ],
  ])('stops with one line if it is given %s', async (_what, server, settings, named) => {
    const { folder } = await writeConfiguration('http://127.0.0.1:1')
    const nginx = startScript(folder, server, settings)
    let text = ''
    nginx.stderr.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    const [code] = await once(nginx, 'close')
    expect(code).toBe(1)
    expect(text).toContain(named)
    expect(text.trimEnd().split('\n')).toHaveLength(1)
  })
})

it.skipIf(!hasNginx)(
  'makes a certificate for localhost from the script of the documentation',
  () => {
    expect(readdirSync(makeCertificate()).toSorted()).toEqual(['fullchain.pem', 'privkey.pem'])
  },
)
