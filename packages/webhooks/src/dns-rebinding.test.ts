import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSender, resolveByDns, type SendResult } from './sender.js'

const A = 1
const AAAA = 28

let dns: Socket
let dnsServer: string
/** Answers to questions for IPv4 and IPv6 addresses; undefined answers nothing at all. */
let answerOf: (type: number) => string[] | undefined
/** The types that were asked for. */
let questions: number[] = []

let receiver: Server
let port: number
/** The addresses at which the receiver got connections. */
let reached: (string | undefined)[] = []

beforeAll(async () => {
  dns = createSocket('udp4')
  dns.on('message', (question, { port: from, address }) => {
    const type = question.readUInt16BE(question.length - 4 - optionsLength(question))
    questions.push(type)
    const addresses = answerOf(type)
    if (addresses !== undefined) dns.send(answerTo(question, type, addresses), from, address)
  })
  await new Promise<void>((resolve) => dns.bind(0, '127.0.0.1', resolve))
  dnsServer = `127.0.0.1:${dns.address().port}`
  receiver = createServer((_request, response) => response.end())
  receiver.on('connection', (socket) => reached.push(socket.localAddress))
  await new Promise<void>((resolve) => receiver.listen(0, '0.0.0.0', resolve))
  port = (receiver.address() as AddressInfo).port
})
afterAll(() => {
  dns.close()
  receiver.closeAllConnections()
  receiver.close()
})
beforeEach(() => {
  questions = []
  reached = []
})

/** Length of the additional records, which `c-ares` puts after its only question (EDNS). */
function optionsLength(question: Buffer): number {
  const nameEnd = question.indexOf(0, 12)
  return question.length - (nameEnd + 5)
}

/** A DNS message (RFC 1035, section 4) with these addresses and a lifetime of 0 s. */
function answerTo(question: Buffer, type: number, addresses: string[]): Buffer {
  const asked = question.subarray(12, question.length - optionsLength(question))
  const head = Buffer.alloc(12)
  question.copy(head, 0, 0, 2)
  // A response without an error, with one question.
  head.writeUInt16BE(0x8180, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) => {
    const data =
      type === A
        ? Buffer.from(address.split('.').map(Number))
        : Buffer.from(address.replaceAll(':', ''), 'hex')
    const record = Buffer.alloc(12)
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(type, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt16BE(data.length, 10)
    return Buffer.concat([record, data])
  })
  return Buffer.concat([head, asked, ...records])
}

const send = (timeoutMs = 5000): Promise<SendResult> =>
  createSender({
    // This test takes it for a public address.
    rules: { allowHttp: true, allowedHosts: new Set(['127.0.0.1']) },
    resolve: resolveByDns([dnsServer]),
    timeoutMs,
  }).send({ url: `http://receiver.example.com:${port}/`, headers: {}, body: '{}' })

describe('a request to a name', () => {
  it('goes to the address in the answer of the DNS server', async () => {
    answerOf = (type) => (type === A ? ['127.0.0.1'] : [])
    expect(await send()).toMatchObject({ kind: 'answered', status: 200 })
    expect(reached).toEqual(['127.0.0.1'])
  })

  it('asks for each kind of address once, and does not follow a later answer', async () => {
    // 127.0.0.2 leads to the same receiver, and is not allowed.
    answerOf = (type) =>
      type === A
        ? [questions.filter((one) => one === A).length === 1 ? '127.0.0.1' : '127.0.0.2']
        : []
    expect(await send()).toMatchObject({ status: 200 })
    expect([questions.toSorted((a, b) => a - b), reached]).toEqual([[A, AAAA], ['127.0.0.1']])
    expect(await send()).toMatchObject({ kind: 'failed', error: 'address_not_allowed' })
    expect(reached).toEqual(['127.0.0.1'])
  })

  it('is not made if one of several addresses is not allowed', async () => {
    answerOf = (type) => (type === A ? ['127.0.0.1', '127.0.0.2'] : [])
    expect(await send()).toMatchObject({ error: 'address_not_allowed' })
    answerOf = (type) => (type === A ? ['127.0.0.1'] : ['0000:0000:0000:0000:0000:ffff:7f00:0002'])
    expect(await send()).toMatchObject({ error: 'address_not_allowed' })
    expect(reached).toEqual([])
  })

  it('fails if the DNS server knows no address', async () => {
    answerOf = () => []
    expect(await send()).toMatchObject({ error: 'name_not_resolved' })
  })

  it('is given up if the DNS server does not answer in time', async () => {
    answerOf = () => undefined
    expect(await send(200)).toMatchObject({ error: 'timeout' })
  })
})
