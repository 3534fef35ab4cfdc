import type { AddressInfo } from 'node:net'
import { createServer, type Server, Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkUrl, isPublicAddress } from './addresses.js'
import { createSender, type Resolve } from './sender.js'

/** Spellings of addresses that `URL` reads as an IPv4 address. */
const IPV4_LITERALS = [
  // Loopback
  '127.0.0.1',
  '127.255.255.254',
  '127.1',
  '127.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '0x7f.1',
  '0177.0.0.1',
  '0177.1',
  '017700000001',
  '127.0.0.1.',
  '127.0.0.01',
  '%31%32%37.0.0.1',
  '127%2e0%2e0%2e1',
  '１２７.０.０.１',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  // Unspecified
  '0',
  '0.0.0.0',
  '0x0',
  '0.1.2.3',
  // Private
  '10.0.0.1',
  '012.0.0.1',
  '167772161',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '0xc0a80001',
  '192.168.255.255',
  // Link-local, with the metadata services of AWS, GCP, Azure and others
  '169.254.0.1',
  '169.254.169.254',
  '2852039166',
  '0xa9fea9fe',
  '0251.0376.0251.0376',
  '169.254.170.2',
  // Shared (CGNAT), with the metadata service of Alibaba Cloud
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  // Reserved by IETF, with the metadata service of Oracle Cloud
  '192.0.0.8',
  '192.0.0.192',
  // The platform of Azure
  '168.63.129.16',
  // Documentation
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.1',
  // Benchmarks
  '198.18.0.1',
  '198.19.255.255',
  // 6to4 relays, AS112, AMT
  '192.88.99.1',
  '192.31.196.1',
  '192.175.48.1',
  '192.52.193.1',
  // Multicast, reserved, broadcast
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.254',
  '255.255.255.255',
]

const IPV6_LITERALS = [
  '::1',
  '0:0:0:0:0:0:0:1',
  '0000:0000:0000:0000:0000:0000:0000:0001',
  '::',
  // IPv4-mapped, -compatible and -translated
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::FFFF:169.254.169.254',
  '::ffff:8.8.8.8',
  '::127.0.0.1',
  '::7f00:1',
  '::ffff:0:127.0.0.1',
  // NAT64
  '64:ff9b::127.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::a00:1',
  // 6to4 and Teredo
  '2002:7f00:1::1',
  '2002:a9fe:a9fe::1',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  // Link-local, site-local, unique local with metadata services of AWS and GCP
  'fe80::1',
  'febf::1',
  'fec0::1',
  'fc00::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  // Multicast, discard, documentation, benchmarks, ORCHID, segment routing, never assigned
  'ff02::1',
  '100::1',
  '2001:db8::1',
  '3fff::1',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '5f00::1',
  '4000::1',
  '8000::1',
]

const LOCAL_NAMES = ['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'ｌｏｃａｌｈｏｓｔ']

/** Answers of DNS servers for `receiver.example.com`. */
const DNS_ANSWERS: string[][] = [
  ['127.0.0.1'],
  ['0.0.0.0'],
  ['10.1.2.3'],
  ['192.168.1.1'],
  ['172.20.0.5'],
  ['169.254.169.254'],
  ['100.64.1.1'],
  ['168.63.129.16'],
  ['::1'],
  ['::ffff:127.0.0.1'],
  ['fd00::1'],
  ['fe80::1'],
  ['fe80::1%lo'],
  ['64:ff9b::7f00:1'],
  // One forbidden address among public ones
  ['93.184.215.14', '127.0.0.1'],
  ['127.0.0.1', '93.184.215.14'],
  ['2606:4700::1111', '::1'],
  // No addresses at all
  ['receiver.example.org'],
  ['0177.0.0.1'],
  [''],
]

const PUBLIC_ADDRESSES = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '93.184.215.14',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81b::200e',
]

const rules = { allowHttp: true, allowedHosts: new Set<string>() }
const headers = {}
const body = '{}'

let listener: Server
let port: number
let connections = 0

beforeAll(async () => {
  listener = createServer((socket) => {
    connections++
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
  })
  await new Promise<void>((resolve) => {
    // Both families, unless the machine has no IPv6.
    listener.once('error', () => listener.listen(0, '0.0.0.0', resolve))
    listener.listen(0, '::', resolve)
  })
  port = (listener.address() as AddressInfo).port
})
afterAll(() => {
  listener.close()
})

beforeEach(() => {
  connections = 0
})
afterEach(() => {
  vi.restoreAllMocks()
})

/**
 * Sends to a URL, and expects that nothing was connected to: neither the listener, which has the
 * port of each URL, nor anything else.
 */
async function expectRefusal(
  url: string,
  resolve: Resolve = async () => ['127.0.0.1'],
): Promise<void> {
  const connect = vi.spyOn(Socket.prototype, 'connect')
  const sender = createSender({ rules, resolve, timeoutMs: 2000 })
  const result = await sender.send({ url, headers, body })
  expect(result).toMatchObject({ kind: 'failed' })
  expect(connect).not.toHaveBeenCalled()
  expect(connections).toBe(0)
}

describe('a webhook does not reach', () => {
  it.each(IPV4_LITERALS.flatMap((host) => [[`http://${host}`], [`https://${host}`]]))(
    '%s',
    async (origin) => {
      const url = `${origin}:${port}/hook`
      expect(checkUrl(url, rules)).toBe('must not lead to a private or reserved address')
      await expectRefusal(url)
    },
  )

  it.each(IPV6_LITERALS.flatMap((host) => [[`http://[${host}]`], [`https://[${host}]`]]))(
    '%s',
    async (origin) => {
      const url = `${origin}:${port}/hook`
      expect(checkUrl(url, rules)).toBe('must not lead to a private or reserved address')
      await expectRefusal(url)
    },
  )

  it.each(LOCAL_NAMES)('the name %s', async (name) => {
    expect(checkUrl(`http://${name}:${port}/`, rules)).toBe(
      'must not lead to a private or reserved address',
    )
    await expectRefusal(`http://${name}:${port}/`)
  })

  it.each(DNS_ANSWERS.map((answer) => [answer]))('a name that resolves to %j', async (answer) => {
    for (const scheme of ['http', 'https'])
      await expectRefusal(`${scheme}://receiver.example.com:${port}/`, async () => answer)
  })

  it.each([
    ['another scheme', 'ftp://example.com/'],
    ['a file', 'file:///etc/passwd'],
    ['a data URL', 'data:text/plain,x'],
    ['a Unix socket', 'http+unix://%2Fvar%2Frun%2Fdocker.sock/'],
    ['a user name in front of the host', `http://example.com@127.0.0.1:PORT/`],
    ['a user name and a password', `http://user:password@example.com:PORT/`],
    ['a host behind a backslash', `http://example.com\\@127.0.0.1:PORT/`],
    ['a host after a fragment', `http://127.0.0.1:PORT/#@example.com/`],
    ['a fragment', 'https://example.com/#x'],
    ['white space', 'https://example.com /'],
    ['a line break', 'https://exam\nple.com/'],
    ['a tab', 'https://127.\t0.0.1/'],
    ['a zone', 'http://[fe80::1%25lo]:PORT/'],
    ['an address of five numbers', 'http://1.2.3.4.5:PORT/'],
    ['a number that is too large', 'http://4294967296:PORT/'],
    ['no host', 'http://:PORT/'],
    ['no URL', 'example.com/hook'],
    ['no text', ''],
    ['too much text', `https://example.com/${'a'.repeat(2000)}`],
  ])('%s', async (_what, url) => {
    const text = url.replace('PORT', String(port))
    expect(checkUrl(text, rules)).toBeTypeOf('string')
    await expectRefusal(text)
  })

  it('an http URL in production', async () => {
    const production = { ...rules, allowHttp: false }
    expect(checkUrl('http://example.com/', production)).toBe('must be an https URL')
    expect(checkUrl('https://example.com/', production)).toBeInstanceOf(URL)
    const connect = vi.spyOn(Socket.prototype, 'connect')
    const result = await createSender({ rules: production }).send({
      url: `http://example.com:${port}/`,
      headers,
      body,
    })
    expect(result).toMatchObject({ kind: 'failed', error: 'address_not_allowed' })
    expect(connect).not.toHaveBeenCalled()
  })
})

describe('a name with another DNS answer the second time', () => {
  it('leads to the address that was checked, and is resolved once', async () => {
    const answers = [['93.184.215.14'], ['127.0.0.1']]
    const resolve = vi.fn(async () => answers.shift() ?? ['127.0.0.1'])
    /** Addresses that a connection could go to. */
    const targets: unknown[] = []
    vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args) {
      const [options] = args.flat() as unknown as [Record<string, CallableFunction>]
      options['lookup']?.(options['host'], { all: true }, (_error: null, found: object[]) => {
        targets.push(...found)
        this.destroy(new Error('not in this test'))
      })
      return this
    })
    const sender = createSender({ rules, resolve })
    await sender.send({ url: `http://receiver.example.com:${port}/`, headers, body })
    expect(resolve).toHaveBeenCalledTimes(1)
    expect(targets).toEqual([{ address: '93.184.215.14', family: 4 }])
    // The next request checks the new answer.
    vi.restoreAllMocks()
    await expectRefusal(`http://receiver.example.com:${port}/`, resolve)
    expect(resolve).toHaveBeenCalledTimes(2)
  })
})

describe('isPublicAddress', () => {
  it.each(PUBLIC_ADDRESSES)('accepts %s', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })

  it.each([...IPV6_LITERALS, ...IPV4_LITERALS])('refuses %s', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })
})

describe('the listener of these tests', () => {
  it('counts a connection to an allowed host', async () => {
    const allowed = { ...rules, allowedHosts: new Set([`127.0.0.1:${port}`]) }
    const sender = createSender({ rules: allowed })
    const result = await sender.send({ url: `http://127.1:${port}/`, headers, body })
    expect([result, connections]).toEqual([expect.objectContaining({ status: 200 }), 1])
  })
})
