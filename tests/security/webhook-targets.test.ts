import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { WEBHOOK_QUEUE } from '@ticket-line/webhooks'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { startWebhookStack, type WebhookStack } from '../integration/webhooks-kit.ts'

/** Hosts that would lead to a listener on this machine, in spellings that hide it. */
const LOOPBACK = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  '127%2e0%2e0%2e1',
  '１２７.０.０.１',
  '127.255.255.254',
  '0',
  '0.0.0.0',
  'localhost',
  'localhost.',
  'LOCALHOST',
  '[::1]',
  '[::]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
]

let stack: WebhookStack
let listener: Server
let connections = 0

beforeAll(async () => {
  listener = createServer((socket) => {
    connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => {
    // Both families, unless the machine has no IPv6.
    listener.once('error', () => listener.listen(0, '0.0.0.0', resolve))
    listener.listen(0, '::', resolve)
  })
  stack = await startWebhookStack()
  await stack.addNotifier({ WEBHOOK_ALLOW_HOSTS: '' })
})
afterAll(async () => {
  await stack?.stop()
  listener?.close()
})

it('connects to no address of this machine, even if such a URL is in the database', async () => {
  const { port } = listener.address() as AddressInfo
  const queue = new Queue(WEBHOOK_QUEUE, {
    connection: stack.redis,
    prefix: `${stack.keyPrefix}{s0}`,
  })
  const urls = LOOPBACK.flatMap((host) => [`http://${host}:${port}/`, `https://${host}:${port}/`])
  for (const url of [...urls, `http://example.com@127.0.0.1:${port}/`]) {
    const { webhookId } = await stack.addWebhook({ url })
    await queue.add('test', { webhookId, messageId: 'msg_test' })
  }
  const attempts = async () =>
    (await stack.pool.query('SELECT state, status, error FROM webhook_attempts')).rows
  const areMade = async () => (await attempts()).length === urls.length + 1
  expect(await until(areMade, { timeoutMs: 30_000 })).toBe(true)
  const refused = { state: 'failed', status: null, error: 'address_not_allowed' }
  expect(await attempts()).toEqual(Array(urls.length + 1).fill(refused))
  expect(connections).toBe(0)
  await queue.close()
  // The listener counts connections.
  connect(port, '127.0.0.1').on('error', () => undefined)
  expect(await until(() => connections === 1, { timeoutMs: 10_000 })).toBe(true)
})
