import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import {
  createPipelining,
  markLasting,
  type Pipelining,
  type PipeliningOptions,
} from './pipelining.js'

const PER_CONNECTION = 8

interface Started {
  server: Server
  pipelining: Pipelining
  open(): Promise<Socket>
}

async function start(
  listener: RequestListener,
  changes: Partial<PipeliningOptions> = {},
): Promise<Started> {
  const options = {
    perConnection: PER_CONNECTION,
    crowdedAt: 1000,
    maxHeldBytes: 1_000_000,
    requestTimeoutMs: 20_000,
    stallTimeoutMs: 20_000,
    ...changes,
  }
  const pipelining = createPipelining(options)
  const { ServerResponse } = pipelining
  const timeoutMs = options.requestTimeoutMs
  const server = createServer(
    { ServerResponse, requestTimeout: timeoutMs, headersTimeout: timeoutMs },
    listener,
  )
  // Node reads this when it starts to listen. By default it checks every 30 s.
  Object.assign(server, { connectionsCheckingInterval: 20 })
  pipelining.watch(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  async function open(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  return { server, pipelining, open }
}

const get = (path: string | number) => `GET /${path} HTTP/1.1\r\nHost: x\r\n\r\n`

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

/** Reads the bodies of `count` responses. The bodies contain no line feeds. */
async function readBodies(socket: Socket, count: number): Promise<string[]> {
  let text = ''
  for await (const chunk of socket) {
    text += chunk
    const bodies = [...text.matchAll(/\r\n\r\n([^\r\n]*)\n/g)].map(([, body]) => body ?? '')
    if (bodies.length >= count) return bodies
  }
  throw new Error(`the connection ended after ${text.length} bytes: ${text.slice(-300)}`)
}

/** Answers requests in their order when the test says so, and records how many were under way. */
function slowly(): { listener: RequestListener; most: () => number; started: () => number } {
  let underWay = 0
  let most = 0
  let started = 0
  return {
    most: () => most,
    started: () => started,
    listener: async (request, response) => {
      started++
      most = Math.max(most, ++underWay)
      // A test may cut the connection in the middle of a body.
      const body = await bodyOf(request).catch(() => undefined)
      await sleep(1)
      underWay--
      response.end(`${request.url}${body}\n`)
    },
  }
}

it('answers all pipelined requests of a connection in order, at most eight at a time', async () => {
  const { listener, most } = slowly()
  const { open, pipelining } = await start(listener)
  const socket = await open()
  const numbers = Array.from({ length: 400 }, (_, n) => n)
  socket.write(numbers.map(get).join(''))
  expect(await readBodies(socket, 400)).toEqual(numbers.map((n) => `/${n}`))
  expect(most()).toBe(PER_CONNECTION)
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(0)
})

it('reads the whole bodies of pipelined requests, however the bytes are split', async () => {
  const { listener, most } = slowly()
  const { open } = await start(listener)
  const requests = Array.from({ length: 60 }, (_, n) => {
    const head = `POST /${n} HTTP/1.1\r\nHost: x\r\n`
    if (n % 3 === 0) return `${head}Content-Length: 0\r\n\r\n`
    if (n % 3 === 1) return `${head}Content-Length: 5\r\n\r\nabcd${n % 10}`
    return `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`
  })
  const expected = requests.map((_, n) => `/${n}${['', `abcd${n % 10}`, 'abc'][n % 3]}`)
  for (const pieceLength of [100_000, 701, 97]) {
    const socket = await open()
    const bytes = requests.join('')
    for (let at = 0; at < bytes.length; at += pieceLength) {
      socket.write(bytes.slice(at, at + pieceLength))
      await sleep(1)
    }
    expect(await readBodies(socket, requests.length)).toEqual(expected)
  }
  expect(most()).toBeLessThanOrEqual(PER_CONNECTION)
})

it('starts the last request of a packet without waiting for more bytes', async () => {
  const { listener } = slowly()
  const { open } = await start(listener)
  const socket = await open()
  const last = 'POST /last HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'
  socket.write(Array.from({ length: PER_CONNECTION }, (_, n) => get(n)).join('') + last)
  expect((await readBodies(socket, PER_CONNECTION + 1)).at(-1)).toBe('/last')
})

it('counts responses that the client does not read', async () => {
  let started = 0
  const { open } = await start((_request, response) => {
    started++
    response.end('x'.repeat(4_000_000))
  })
  const socket = await open()
  socket.pause()
  socket.write(Array.from({ length: 100 }, (_, n) => get(n)).join(''))
  await expect.poll(() => started, { timeout: 10_000 }).toBeGreaterThan(0)
  await sleep(50)
  expect(started).toBeLessThanOrEqual(PER_CONNECTION)
})

it('cuts only the connection whose client reads nothing of its response', async () => {
  let answerSlow: () => void = () => undefined
  let started = 0
  const listener: RequestListener = (request, response) => {
    started++
    if (request.url === '/large') response.end('x'.repeat(20_000_000))
    else answerSlow = () => response.end('slow\n')
  }
  const { open, pipelining } = await start(listener, { stallTimeoutMs: 100 })
  const [reader, sleeper] = [await open(), await open()]
  sleeper.pause()
  sleeper.write(get('large'))
  reader.write(get('slow'))
  await expect.poll(() => started, { timeout: 10_000 }).toBe(2)
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(1)
  answerSlow()
  expect(await readBodies(reader, 1)).toEqual(['slow'])
})

it('counts requests that Node itself refuses', async () => {
  const { open, pipelining } = await start((_request, response) => response.end('ok\n'))
  const socket = await open()
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n'.repeat(500))
  let most = 0
  const watching = setInterval(() => {
    most = Math.max(most, pipelining.unanswered())
  })
  socket.resume()
  let answers = 0
  for await (const chunk of socket) {
    answers += String(chunk).split('HTTP/1.1 417').length - 1
    if (answers >= 500) break
  }
  clearInterval(watching)
  expect(most).toBeLessThanOrEqual(PER_CONNECTION)
})

it('gives each connection one request at a time while the process is crowded', async () => {
  const { listener, started } = slowly()
  const hanging: RequestListener = (request, response) => {
    if (request.url === '/hang') return
    return listener(request, response)
  }
  const { open, pipelining } = await start(hanging, { crowdedAt: 3 })
  const crowd = await open()
  crowd.write(get('hang').repeat(3))
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(3)
  const socket = await open()
  socket.write(get('hang') + get('next').repeat(3))
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(4)
  await sleep(20)
  expect(started()).toBe(0)
  crowd.destroy()
  const other = await open()
  other.write(get('next').repeat(3))
  expect(await readBodies(other, 3)).toHaveLength(3)
})

it('does not count responses that last, and starts no further request on their connections', async () => {
  const started: string[] = []
  const responses: ServerResponse[] = []
  const { open, pipelining } = await start(
    (request, response) => {
      started.push(request.url ?? '')
      if (request.url !== '/stream') return void response.end(`${request.url}\n`)
      response.writeHead(200)
      response.write('event\n')
      markLasting(response)
      responses.push(response)
      response.on('close', () => started.push('closed'))
    },
    { crowdedAt: 2 },
  )
  const streams = await Promise.all([open(), open(), open()])
  for (const socket of streams) socket.write(get('stream'))
  await expect.poll(() => started.length).toBe(3)
  expect(pipelining.unanswered()).toBe(0)
  streams[0]?.write(get('later'))
  const other = await open()
  other.write(get(1) + get(2))
  expect(await readBodies(other, 2)).toEqual(['/1', '/2'])
  expect(started).not.toContain('/later')
  for (const socket of streams) socket.destroy()
  // Nothing is read on a connection with a later request, so its end shows at the next write.
  await expect
    .poll(() => {
      for (const response of responses) response.write('event\n')
      return started.filter((what) => what === 'closed').length
    })
    .toBe(3)
  expect(pipelining.unanswered()).toBe(0)
})

it('cuts a connection if all connections together have too many unparsed bytes', async () => {
  const { open, server } = await start(() => undefined, { maxHeldBytes: 60_000 })
  const sockets = await Promise.all([open(), open()])
  for (const socket of sockets) {
    socket.resume()
    socket.write(get('x').repeat(1500))
  }
  await Promise.race(sockets.map((socket) => once(socket, 'close')))
  const count = () =>
    new Promise((resolve) => server.getConnections((_error, open) => resolve(open)))
  await expect.poll(count, { timeout: 10_000 }).toBeLessThanOrEqual(1)
})

it('does not count the wait for earlier responses as time that a request takes to arrive', async () => {
  const listener: RequestListener = async (request, response) => {
    await sleep(request.url === '/slow' ? 1000 : 0)
    response.end(`${request.url}\n`)
  }
  const { open } = await start(listener, { requestTimeoutMs: 400 })
  const socket = await open()
  socket.write(get('slow').repeat(PER_CONNECTION) + get('next'))
  expect(await readBodies(socket, PER_CONNECTION + 1)).toContain('/next')
})

it('cuts a connection whose body stops arriving, even if the request was put off', async () => {
  const { listener } = slowly()
  const { open } = await start(listener, { requestTimeoutMs: 200 })
  const socket = await open()
  socket.resume()
  const body = 'POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab'
  socket.write(Array.from({ length: PER_CONNECTION }, (_, n) => get(n)).join('') + body)
  await once(socket, 'close')
})

it('forgets a connection that closes while it is held', async () => {
  const waiting: (() => void)[] = []
  const { open, pipelining, server } = await start((_request, response) => {
    waiting.push(() => response.end('late\n'))
  })
  const socket = await open()
  socket.write(get('x').repeat(50))
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(PER_CONNECTION)
  server.closeAllConnections()
  await once(socket, 'close')
  await expect.poll(() => pipelining.unanswered(), { timeout: 10_000 }).toBe(0)
  for (const answer of waiting) answer()
  await sleep(20)
  expect(pipelining.unanswered()).toBe(0)
  await new Promise((resolve) => server.close(resolve))
})

it.each([
  ['400', 'GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nno header\r\n\r\n'],
  ['431', `GET / HTTP/1.1\r\nOrigin:https://a.example\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
  ['408', 'POST / HTTP/1.1\r\nHost: x\r\norigin: https://a.example\r\nContent-Length: 9\r\n\r\n1'],
])(
  'adds headers for the origin to the %s of a request that it cannot read',
  async (status, sent) => {
    const { open } = await start((request) => void request.resume(), {
      requestTimeoutMs: 200,
      refusalHeaders: (origin = 'none') => ({ 'x-origin': origin }),
    })
    const socket = await open()
    socket.write(sent)
    let answer = ''
    for await (const chunk of socket) answer += chunk
    expect(answer.split('\r\n')).toEqual([
      expect.stringMatching(`^HTTP/1.1 ${status} `),
      'x-origin: https://a.example',
      'Connection: close',
      '',
      '',
    ])
  },
)
