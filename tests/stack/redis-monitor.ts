import net from 'node:net'
import { createInterface } from 'node:readline'

export interface RedisMonitor {
  close(): void
  /** Resolves when the connection has ended. */
  ended: Promise<void>
}

/**
 * Calls `onCommand` for each command that Redis runs, in order, with its name and arguments as
 * Redis quotes them and its source (an address, or `lua` in a script). Resolves once MONITOR is
 * active.
 *
 * It uses a socket of its own, because ioredis fails if the first command arrives in one packet
 * with the `OK` to MONITOR: it takes that line for the reply to a command that it never sent.
 * {@link https://redis.io/docs/latest/commands/monitor/}
 */
export function monitorRedis(
  url: string,
  onCommand: (args: string[], source: string) => void,
): Promise<RedisMonitor> {
  const { hostname, port, username, password } = new URL(url)
  const login = ['AUTH', username, password].filter(Boolean).join(' ')
  const requests = password ? [login, 'MONITOR'] : ['MONITOR']
  const socket = net.connect({ host: hostname, port: Number(port) })
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.once('connect', () => socket.write(requests.map((request) => `${request}\r\n`).join('')))
    let acknowledged = 0
    const lines = createInterface({ input: socket })
    // It reports the errors of the socket, too.
    lines.on('error', reject)
    lines.on('line', (line) => {
      if (line === '+OK') {
        if (++acknowledged === requests.length) resolve({ close: () => socket.destroy(), ended })
        return
      }
      // +1795392201.999809 [0 127.0.0.1:45848] "xadd" "key"
      const [, source, quoted] = /^\+[\d.]+ \[\d+ ([^\]]+)\] "(.*)"$/.exec(line) ?? []
      if (source === undefined || quoted === undefined)
        return reject(new Error(`unexpected line from MONITOR: ${line}`))
      onCommand(quoted.split('" "'), source)
    })
  })
}
