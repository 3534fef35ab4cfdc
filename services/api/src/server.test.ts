import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { closeServer } from './server.js'

test('a stopping server answers the clients that connected before its port closed', async () => {
  const server = createServer((_, response) => response.end('answered'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const closed = closeServer(server, { graceMs: 2000, hurry: () => undefined })
  const statuses = Array.from({ length: 20 }, () => statusFrom(port))
  // Node connects in the next tick. The kernel completes the connection while the event loop is
  // blocked, but Node cannot accept it before the 500 ms are over that the server lingers.
  await new Promise<void>((resolve) => process.nextTick(resolve))
  blockEventLoop(600)

  expect(await Promise.all(statuses)).toEqual(Array(20).fill(200))
  await closed
})

function statusFrom(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject)
    sent.end()
  })
}

function blockEventLoop(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs) {
    // Nothing else runs in the meantime.
  }
}
