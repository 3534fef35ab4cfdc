import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'

const CONNECTIONS = 250
const REQUESTS_EACH = 1800
/** An idle process uses about 150 MB. Without limits it would pass 2 GB and end. */
const MAX_MB = 600

let system: System
beforeAll(async () => {
  system = await startSystem({ workers: 0, env: { RATE_LIMIT: '100' } })
})
afterAll(() => system?.stop())

/** Peak memory of the API process in MB. */
function peakMb(): number {
  const status = readFileSync(`/proc/${system.apis[0]?.pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

async function open(): Promise<Socket> {
  const { hostname, port } = new URL(system.apis[0]?.url as string)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

it.each([
  ['requests for an unknown path', 'GET / HTTP/1.1\r\nHost:x\r\n\r\n'],
  ['requests that Node itself refuses', 'GET /status/1 HTTP/1.1\r\nHost:x\r\nExpect:x\r\n\r\n'],
  ['requests for the metrics page', 'GET /metrics HTTP/1.1\r\nHost:x\r\n\r\n'],
  [
    'requests for the largest static file',
    'GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost:x\r\n\r\n',
  ],
])(
  'stays healthy in bounded memory when 250 clients pipeline %s and read nothing',
  async (_name, request) => {
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, open))
    for (const socket of sockets) {
      socket.pause()
      socket.write(request.repeat(REQUESTS_EACH))
    }
    const endsAt = Date.now() + 1500
    let healthy = 0
    while (Date.now() < endsAt) {
      const alive = await system.api.get('/livez', { signal: AbortSignal.timeout(20_000) })
      if (alive.status === 200) healthy++
      await sleep(50)
    }
    for (const socket of sockets) socket.destroy()
    expect(healthy).toBeGreaterThan(0)
    expect(system.apis[0]?.running()).toBe(true)
    expect(peakMb()).toBeLessThan(MAX_MB)
    expect((await system.api.get('/readyz')).status).toBe(200)
    console.log(`peak ${peakMb().toFixed(0)} MB`)
  },
)
