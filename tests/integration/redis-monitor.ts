import net from 'node:net'
import { createInterface } from 'node:readline'

export interface RedisMonitor {
  close(): void
}

/**
 * Hands each command that this Redis carries out to `onCommand`, in order: its name and arguments as Redis quotes
 * them, and who sent it (an address, or `lua` within a script). Resolves when Redis watches.
 *
 * Speaks to Redis itself, since ioredis takes the first line for an answer to a command that it never sent, and fails,
 * where that line comes in one packet with the `OK` to MONITOR.
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
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => socket.write(requests.map((request) => `${request}\r\n`).join('')))
    let agreed = 0
    createInterface({ input: socket }).on('line', (line) => {
      if (line === '+OK') {
        if (++agreed === requests.length) resolve({ close: () => socket.destroy() })
        return
      }
      // +1795392201.999809 [0 127.0.0.1:45848] "xadd" "key"
      const [, source, quoted] = /^\+[\d.]+ \[\d+ ([^\]]+)\] "(.*)"$/.exec(line) ?? []
      if (source === undefined || quoted === undefined)
        return reject(new Error(`Redis says: ${line}`))
      onCommand(quoted.split('" "'), source)
    })
  })
}
