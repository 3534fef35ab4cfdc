import type { Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { expect, test, vi } from 'vitest'
import { watchServers } from './servers.js'

test('the memory metrics of several servers are those of the fullest one', async () => {
  const metrics = await metricsOf([
    'used_memory:900\r\nmaxmemory:0',
    'used_memory:500\r\nmaxmemory:1000',
    'used_memory:80\r\nmaxmemory:100',
  ])
  expect(metrics).toContain('ticket_line_redis_memory_bytes 80')
  expect(metrics).toContain('ticket_line_redis_memory_max_bytes 100')
})

test('without limits the memory metrics are those of the server that uses most', async () => {
  const metrics = await metricsOf([
    'used_memory:500\r\nmaxmemory:0',
    'used_memory:900\r\nmaxmemory:0',
  ])
  expect(metrics).toContain('ticket_line_redis_memory_bytes 900')
  expect(metrics).toContain('ticket_line_redis_memory_max_bytes 0')
})

/** The metrics of servers with these replies to `INFO`. */
async function metricsOf(infos: string[]): Promise<string> {
  const registry = new Registry()
  const connections = infos.map((info) => {
    const redis: Partial<Redis> = {
      status: 'ready',
      ping: async () => 'PONG',
      info: async () => info,
    }
    return { redis: redis as Redis }
  })
  const stop = watchServers({
    registry,
    redis: { connections },
    askPostgres: async () => undefined,
    intervalMs: 1000,
  })
  try {
    return await vi.waitFor(async () => {
      const text = await registry.metrics()
      expect(text).toMatch(/^ticket_line_redis_memory_bytes \d/m)
      return text
    })
  } finally {
    stop()
  }
}
