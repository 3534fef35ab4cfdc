import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createPostgresFramer, createRespFramer } from './frames.ts'
import type { Intervention } from './link.ts'
import { apiRedis, workerPostgres, workerRedis } from './moments.ts'
import { startProxy } from './tcp-proxy.ts'

const resp = (...parts: string[]): Buffer =>
  Buffer.from(
    `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`,
  )

function message(type: string, text: string): Buffer {
  const buffer = Buffer.alloc(5 + Buffer.byteLength(text))
  buffer.write(type, 0)
  buffer.writeUInt32BE(buffer.length - 1, 1)
  buffer.write(text, 5)
  return buffer
}

function startUp(): Buffer {
  const buffer = Buffer.alloc(24)
  buffer.writeUInt32BE(24, 0)
  buffer.writeUInt32BE(196608, 4)
  return buffer
}

const job = '{"v":1,"commands":[{"type":"book"}]}'
const add = resp('evalsha', 'f00', '2', 'p:event-1:wait', 'p:event-1:paused', 'x', job)
const completion = resp(
  'evalsha',
  'f01',
  '2',
  'p:event-1:wait',
  'p:event-1:completed',
  '{"outcomes":[]}',
)

describe('createRespFramer and createPostgresFramer', () => {
  it.each([1, 2, 7, 64, 4096])('find the same commands in chunks of %i bytes', (size) => {
    const redis = [
      resp('PING'),
      add,
      Buffer.from('INLINE\r\n'),
      resp('SET', 'k', 'line\r\nbreak'),
      completion,
    ]
    const prepared = ['P', 'B', 'D', 'E', 'S'].map((type) =>
      message(type, type === 'S' ? '' : '\0one\0'),
    )
    const postgres = [
      startUp(),
      message('p', 'secret\0'),
      message('Q', 'begin\0'),
      Buffer.concat(prepared),
      message('Q', 'commit\0'),
    ]

    for (const [framer, frames] of [
      [createRespFramer(), redis],
      [createPostgresFramer(), postgres],
    ] as const) {
      const stream = Buffer.concat(frames)
      const found: Buffer[] = []
      for (let at = 0; at < stream.length; at += size)
        found.push(...framer.push(stream.subarray(at, at + size)))
      expect(found).toEqual(frames)
    }
  })
})

describe('inCommand and inReply', () => {
  it('recognize a moment by the keys and the payload of a command', () => {
    expect(apiRedis.inCommand(add)).toBe('add')
    expect(apiRedis.inCommand(resp('hmset', 'p:event-1:wait', job))).toBeUndefined()
    expect(workerRedis.inCommand(completion)).toBe('completion')
    expect(
      workerRedis.inCommand(resp('evalsha', 'f02', '1', 'p:replies:a', '{"outcomes":[]}')),
    ).toBeUndefined()
    expect(workerRedis.inReply(resp(job))).toBe('fetch')
    expect(workerPostgres.inCommand(message('Q', 'commit\0'))).toBe('commit')
    expect(workerPostgres.inCommand(message('P', 's1\0COMMIT\0'))).toBe('commit')
    expect(workerPostgres.inCommand(message('P', 'line_book_free\0WITH free AS\0'))).toBe('commit')
    expect(workerPostgres.inCommand(message('B', '\0line_book_free\0\0\0'))).toBe('commit')
    expect(workerPostgres.inCommand(message('Q', 'select 1\0'))).toBeUndefined()
    expect(workerPostgres.inCommand(message('B', '\0line_lock_events\0\0\0'))).toBeUndefined()
  })
})

describe('startProxy', () => {
  const closers: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  /**
   * Starts a server that answers every command with "+OK", behind a proxy.
   * @param interventions one for each command, in order
   */
  async function startServerBehindProxy(...interventions: (Intervention | undefined)[]) {
    const seen: number[] = []
    const sockets = new Set<Socket>()
    const server: Server = createServer((socket) => {
      sockets.add(socket)
      const framer = createRespFramer()
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        for (const _ of framer.push(chunk)) {
          seen.push(performance.now())
          socket.write('+OK\r\n')
        }
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const port = (server.address() as AddressInfo).port
    const proxy = await startProxy({
      target: { host: '127.0.0.1', port },
      wire: apiRedis,
      intervene: () => interventions.shift(),
    })
    closers.push(
      () => server.close(),
      () => sockets.forEach((socket) => void socket.destroy()),
      proxy.close,
    )

    async function send(): Promise<string> {
      const socket = connect(proxy.port, '127.0.0.1')
      socket.write(add)
      try {
        return String((await once(socket, 'data'))[0])
      } catch (error) {
        return (error as NodeJS.ErrnoException).code as string
      } finally {
        socket.destroy()
      }
    }
    return { proxy, seen, send }
  }

  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50))

  it('forwards a command without an intervention', async () => {
    const { seen, send } = await startServerBehindProxy()
    expect(await send()).toBe('+OK\r\n')
    expect(seen).toHaveLength(1)
  })

  it('resets the connection before the server gets the command if told to cut before', async () => {
    const { seen, send } = await startServerBehindProxy({ kind: 'cut-before' })
    expect(await send()).toBe('ECONNRESET')
    await settled()
    expect(seen).toHaveLength(0)
  })

  it('lets the server run the command and discards the reply if told to cut after', async () => {
    const { seen, send } = await startServerBehindProxy({ kind: 'cut-after' })
    expect(await send()).toBe('ECONNRESET')
    await settled()
    expect(seen).toHaveLength(1)
  })

  it('delivers the reply later if told to delay it', async () => {
    const { send } = await startServerBehindProxy({ kind: 'delay', ms: 120 })
    const sentAt = performance.now()
    expect(await send()).toBe('+OK\r\n')
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(115)
  })

  it('resets the connection and then delivers the command if told to be late', async () => {
    const { seen, send } = await startServerBehindProxy({ kind: 'late', ms: 100 })
    expect(await send()).toBe('ECONNRESET')
    const resetAt = performance.now()
    expect(seen).toHaveLength(0)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect((seen[0] as number) - resetAt).toBeGreaterThan(80)
  })

  it('keeps the connection and delivers the command later if told to stall', async () => {
    const { seen, send } = await startServerBehindProxy({ kind: 'stall', ms: 100 })
    const sentAt = performance.now()
    expect(await send()).toBe('+OK\r\n')
    expect((seen[0] as number) - sentAt).toBeGreaterThanOrEqual(95)
  })

  it('works again after restore has ended sever and hold', async () => {
    const { proxy, send } = await startServerBehindProxy()
    proxy.sever()
    expect(await send()).toBe('ECONNRESET')
    proxy.restore()
    expect(await send()).toBe('+OK\r\n')
    proxy.hold()
    const reply = send()
    expect(await Promise.race([reply, settled()])).toBeUndefined()
    proxy.restore()
    expect(await reply).toBe('+OK\r\n')
  })

  it('abandons open connections and accepts new ones after strand', async () => {
    const { proxy, seen, send } = await startServerBehindProxy()
    const old = connect(proxy.port, '127.0.0.1')
    closers.push(() => old.destroy())
    old.write(add)
    await once(old, 'data')
    const events: string[] = []
    for (const name of ['data', 'end', 'close', 'error']) old.on(name, () => events.push(name))

    proxy.strand()
    old.write(add)
    expect(await send()).toBe('+OK\r\n')
    proxy.restore()
    await settled()

    expect(seen).toHaveLength(2)
    expect(events).toEqual([])
  })
})
