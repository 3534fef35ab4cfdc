/**
 * A slow-request attack in a process of its own, so that it does not slow down the measuring test.
 *
 * - `{ port, sockets }` opens that many connections. Each sends a request one byte at a time and is
 *   replaced if the server closes it.
 * - `'stop'` closes them all.
 * - Every message, `'report'` included, is answered with the number of open connections and the
 *   number that the server has closed.
 */
import net from 'node:net'
import { every, type Loop } from '@ticket-line/shared'

/** Time between two bytes of one connection. */
const BYTE_EVERY_MS = 1000
/** Number of groups that send their bytes in turn, so that the bytes do not arrive all at once. */
const GROUPS = 50

const HEAD = Buffer.from(`GET /status/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'x'.repeat(200)}`)
const BODY_HEAD = Buffer.from(
  'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"',
)

interface SlowConnection {
  socket: net.Socket
  bytes: Buffer
  sent: number
}

const connections = new Map<number, SlowConnection>()
let closedByServer = 0
let sending: Loop | undefined

function open(port: number, index: number): void {
  const socket = net.connect({ host: '127.0.0.1', port })
  const inBody = index % 2 === 1
  const connection: SlowConnection = {
    socket,
    bytes: inBody ? Buffer.alloc(1000, ' ') : HEAD,
    sent: 0,
  }
  if (inBody) socket.write(BODY_HEAD)
  connections.set(index, connection)
  socket.on('error', () => undefined).resume()
  socket.on('close', () => {
    if (sending === undefined) return
    closedByServer++
    setTimeout(() => sending !== undefined && open(port, index), 100)
  })
}

function start(port: number, sockets: number): void {
  for (let index = 0; index < sockets; index++)
    setTimeout(() => open(port, index), (index / sockets) * 1000)
  let group = 0
  sending = every(BYTE_EVERY_MS / GROUPS, sendByte, { onError: () => undefined })

  function sendByte(): void {
    group = (group + 1) % GROUPS
    for (const [index, connection] of connections) {
      if (index % GROUPS !== group || !connection.socket.writable) continue
      const { bytes, sent } = connection
      connection.socket.write(bytes.subarray(sent % bytes.length, (sent % bytes.length) + 1))
      connection.sent++
    }
  }
}

function stop(): void {
  void sending?.stop()
  sending = undefined
  for (const { socket } of connections.values()) socket.destroy()
  connections.clear()
}

process.on('message', (message: 'stop' | 'report' | { port: number; sockets: number }) => {
  if (message === 'stop') stop()
  else if (message !== 'report') start(message.port, message.sockets)
  const openSockets = [...connections.values()].filter(
    ({ socket }) => socket.readyState === 'open',
  ).length
  process.send?.({ openSockets, closedByServer })
})
process.on('disconnect', () => process.exit(0))
