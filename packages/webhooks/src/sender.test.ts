import { execFile } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { createSender, MAX_ANSWER_BYTES, type SenderOptions, type SendRequest } from './sender.js'

const servers: { close(): unknown; closeAllConnections?(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.()
    server.close()
  }
})

async function portOf(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** An endpoint that gets requests. @returns its URL */
async function endpoint(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  return `http://127.0.0.1:${await portOf(http.createServer(handle))}/hook?a=b`
}

const answering = (status: number, headers: Record<string, string> = {}, body = '') =>
  endpoint((request, response) => {
    request.resume()
    response.writeHead(status, headers).end(body)
  })

const rules = { allowHttp: true, allowedHosts: new Set(['127.0.0.1']) }
const request = { headers: { 'webhook-id': 'msg_1' }, body: '{"type":"webhook.test"}' }

const send = (url: string, options: Partial<SenderOptions> = {}, more: Partial<SendRequest> = {}) =>
  createSender({ rules, ...options }).send({ ...request, url, ...more })

describe('send', () => {
  it('posts the body with its headers on a connection of its own', async () => {
    const seen: unknown[] = []
    const sockets = new Set<Socket>()
    const url = await endpoint((incoming, response) => {
      sockets.add(incoming.socket)
      let body = ''
      incoming.on('data', (chunk) => {
        body += chunk
      })
      incoming.on('end', () => {
        seen.push({ method: incoming.method, path: incoming.url, headers: incoming.headers, body })
        response.end('thanks')
      })
    })
    const sender = createSender({ rules })
    for (let i = 0; i < 2; i++) {
      expect(await sender.send({ ...request, url })).toEqual({
        kind: 'answered',
        status: 200,
        bytes: 6,
        retryAfterMs: undefined,
        tookMs: expect.any(Number),
      })
    }
    expect(seen).toHaveLength(2)
    expect(seen[0]).toMatchObject({
      method: 'POST',
      path: '/hook?a=b',
      body: request.body,
      headers: {
        host: new URL(url).host,
        'content-type': 'application/json',
        'content-length': String(request.body.length),
        'user-agent': expect.stringMatching(/^ticket-line\/\d/),
        'webhook-id': 'msg_1',
      },
    })
    expect(sockets.size).toBe(2)
  })

  it.each([204, 400, 410, 500, 503])('returns the status %i', async (status) => {
    expect(await send(await answering(status))).toMatchObject({ kind: 'answered', status })
  })

  it.each([301, 302, 303, 307, 308])('does not follow a redirect with %i', async (status) => {
    let reached = 0
    const target = await endpoint((_request, response) => {
      reached++
      response.end()
    })
    for (const location of [target, target.replace('http:', ''), 'http://169.254.169.254/'])
      expect(await send(await answering(status, { location }))).toMatchObject({ status })
    expect(reached).toBe(0)
  })

  it.each([
    ['120', 120_000],
    ['0', 0],
    ['-5', undefined],
    ['soon', undefined],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ])('reads Retry-After: %s', async (value, retryAfterMs) => {
    const url = await answering(429, { 'retry-after': value })
    expect(await send(url)).toMatchObject({ status: 429, retryAfterMs })
  })

  it('reads a date in Retry-After', async () => {
    const at = new Date(Date.now() + 90_000).toUTCString()
    const result = await send(await answering(503, { 'retry-after': at }))
    const { retryAfterMs = 0 } = result as { retryAfterMs?: number }
    expect(retryAfterMs).toBeGreaterThan(80_000)
    expect(retryAfterMs).toBeLessThanOrEqual(90_000)
  })

  it('reads at most 64 kB of an endless answer, and closes the connection', async () => {
    let sent = 0
    const closed = new Promise<void>((resolve) => {
      servers.push({ close: () => undefined })
      void endpoint((_request, response) => {
        response.on('close', resolve)
        const write = (): void => {
          while (response.write('x'.repeat(1024))) sent += 1024
          response.once('drain', write)
        }
        write()
      }).then(async (url) => {
        expect(await send(url)).toMatchObject({ status: 200, bytes: MAX_ANSWER_BYTES })
      })
    })
    await closed
    expect(sent).toBeGreaterThan(0)
  })

  it('returns the status of an answer whose body never ends', async () => {
    const url = await endpoint((_request, response) => {
      response.writeHead(200)
      response.write('so far')
    })
    expect(await send(url, { timeoutMs: 200 })).toMatchObject({ status: 200, bytes: 6 })
  })

  it('gives up on a receiver that never answers', async () => {
    const url = await endpoint(() => undefined)
    const result = await send(url, { timeoutMs: 150 })
    expect(result).toMatchObject({ kind: 'failed', error: 'timeout' })
    expect(result.tookMs).toBeLessThan(2000)
  })

  it('gives up on an answer whose head arrives byte by byte', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      const timer = setTimeout(function drip() {
        if (socket.write('x')) setTimeout(drip, 20)
      }, 20)
      socket.on('close', () => clearTimeout(timer))
      socket.write('HTTP/1.1 200 OK\r\nx: ')
    })
    const url = `http://127.0.0.1:${await portOf(server)}/`
    expect(await send(url, { timeoutMs: 150 })).toMatchObject({ error: 'timeout' })
  })

  it('gives up on a DNS server that never answers', async () => {
    const resolve = () => new Promise<string[]>(() => undefined)
    const result = await send('https://receiver.example.com/', { resolve, timeoutMs: 100 })
    expect(result).toMatchObject({ error: 'timeout' })
  })

  it('reports a name without an address', async () => {
    const resolve = () => Promise.reject(new Error('NXDOMAIN'))
    expect(await send('https://receiver.example.com/', { resolve })).toMatchObject({
      error: 'name_not_resolved',
    })
    const none = { resolve: async () => [] }
    expect(await send('https://receiver.example.com/', none)).toMatchObject({
      error: 'name_not_resolved',
    })
  })

  it('reports a port on which nobody listens', async () => {
    const server = createServer()
    const port = await portOf(server)
    await new Promise((resolve) => server.close(resolve))
    expect(await send(`http://127.0.0.1:${port}/`)).toMatchObject({ error: 'connection_failed' })
  })

  it.each([
    ['resets the connection', (socket: Socket) => socket.resetAndDestroy()],
    ['closes the connection', (socket: Socket) => socket.end()],
    ['speaks another protocol', (socket: Socket) => socket.end('220 smtp.example.com ESMTP\r\n')],
    [
      'sends headers without end',
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`),
    ],
  ])('reports a receiver that %s', async (_what, answer) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => answer(socket))
    })
    const url = `http://127.0.0.1:${await portOf(server)}/`
    expect(await send(url)).toMatchObject({ error: 'connection_lost' })
  })

  it('reports a header that Node refuses', async () => {
    const headers = { 'webhook-id': 'a\nb' }
    expect(await send(await answering(200), {}, { headers })).toMatchObject({
      error: 'not_sendable',
    })
  })

  it('stops when it is aborted', async () => {
    const controller = new AbortController()
    const url = await endpoint(() => controller.abort())
    expect(await send(url, {}, { signal: controller.signal })).toMatchObject({ error: 'aborted' })
    expect(await send(url, {}, { signal: AbortSignal.abort() })).toMatchObject({
      error: 'aborted',
    })
  })

  it('connects to a name whose address is allowed', async () => {
    const url = new URL(await answering(200))
    url.hostname = 'receiver.example.com'
    const resolve = async () => ['127.0.0.1']
    expect(await send(url.href, { resolve })).toMatchObject({ status: 200 })
    const otherPort = { ...rules, allowedHosts: new Set(['127.0.0.1:9']) }
    expect(await send(url.href, { resolve, rules: otherPort })).toMatchObject({
      error: 'address_not_allowed',
    })
  })

  it('asks the operating system for a name that is allowed', async () => {
    const url = new URL(await answering(200))
    url.hostname = 'localhost'
    const allowed = { ...rules, allowedHosts: new Set([`localhost:${url.port}`]) }
    const resolve = () => Promise.reject(new Error('not asked'))
    expect(await send(url.href, { rules: allowed, resolve })).toMatchObject({ status: 200 })
  })

  it('uses no proxy from the environment', async () => {
    let proxied = 0
    const proxyUrl = await endpoint((_request, response) => {
      proxied++
      response.end()
    })
    const proxy = new URL(proxyUrl).origin
    const url = await answering(204)
    const built = fileURLToPath(new URL('../dist/index.js', import.meta.url))
    const code = `
      const { createSender } = await import(process.argv[1])
      const rules = { allowHttp: true, allowedHosts: new Set(['127.0.0.1']) }
      const sent = { url: process.argv[2], headers: {}, body: '{}' }
      console.log(JSON.stringify(await createSender({ rules }).send(sent)))`
    const env = {
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: proxy,
      http_proxy: proxy,
      HTTPS_PROXY: proxy,
      ALL_PROXY: proxy,
    }
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', code, built, url],
      { env },
    )
    expect([JSON.parse(stdout).status, proxied]).toEqual([204, 0])
  })
})

describe('send over TLS', () => {
  const name = 'receiver.example.com'
  const resolve = async () => ['127.0.0.1']

  async function secureEndpoint(certified: string) {
    const { key, cert } = selfSigned(certified)
    const names: unknown[] = []
    const server = https.createServer({ key, cert }, (incoming, response) => {
      names.push([incoming.headers.host, (incoming.socket as { servername?: string }).servername])
      response.end()
    })
    server.on('tlsClientError', () => undefined)
    return { port: await portOf(server), ca: cert, names }
  }

  it('sends and checks the name of the host, not its address', async () => {
    const { port, ca, names } = await secureEndpoint(name)
    const result = await send(`https://${name}:${port}/`, { ca, resolve })
    expect(result).toMatchObject({ status: 200 })
    // A dot at the end belongs to no name of a certificate.
    expect(await send(`https://${name}.:${port}/`, { ca, resolve })).toMatchObject({ status: 200 })
    expect(names).toEqual(Array(2).fill([`${name}:${port}`, name]))
  })

  it('refuses a certificate for another name', async () => {
    const { port, ca, names } = await secureEndpoint('other.example.com')
    const url = `https://${name}:${port}/`
    expect(await send(url, { ca, resolve })).toMatchObject({ error: 'tls_failed' })
    expect(names).toEqual([])
  })

  it('refuses a certificate that no trusted authority has signed', async () => {
    const { port } = await secureEndpoint(name)
    const url = `https://${name}:${port}/`
    expect(await send(url, { resolve })).toMatchObject({ error: 'tls_failed' })
  })

  it('reports a receiver without TLS', async () => {
    const url = (await answering(200)).replace('http:', 'https:')
    expect(await send(url)).toMatchObject({ error: 'tls_failed' })
  })
})

/** Makes a self-signed certificate (RFC 5280) for a name, valid for a day. */
function selfSigned(name: string): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = (tag: number, ...parts: Buffer[]): Buffer => {
    const content = Buffer.concat(parts)
    const { length } = content
    const size =
      length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 255]
    return Buffer.concat([Buffer.from([tag, ...size]), content])
  }
  const [sequence, set, oid] = [0x30, 0x31, 0x06]
  const time = (ms: number) =>
    der(
      0x17,
      Buffer.from(
        `${new Date(ms)
          .toISOString()
          .replace(/[-:T]|\.\d+/g, '')
          .slice(2)}`,
      ),
    )
  const ecdsaWithSha256 = der(sequence, der(oid, Buffer.from('2a8648ce3d040302', 'hex')))
  const commonName = der(
    sequence,
    der(oid, Buffer.from('550403', 'hex')),
    der(0x0c, Buffer.from(name)),
  )
  const subject = der(sequence, der(set, commonName))
  const day = 86_400_000
  const altName = der(sequence, der(0x82, Buffer.from(name)))
  const extension = der(sequence, der(oid, Buffer.from('551d11', 'hex')), der(0x04, altName))
  const toSign = der(
    sequence,
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.of(1)),
    ecdsaWithSha256,
    subject,
    der(sequence, time(Date.now() - day), time(Date.now() + day)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(sequence, extension)),
  )
  const signature = sign('sha256', toSign, privateKey)
  const certificate = der(
    sequence,
    toSign,
    ecdsaWithSha256,
    der(0x03, Buffer.concat([Buffer.of(0), signature])),
  )
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  const cert = `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
  return { key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })), cert }
}
