import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import { type System, startSystem } from '../stack/system.ts'

interface ReceivedSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  links?: { traceId: string }[]
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: Record<string, unknown> }[]
  service: string
}

/** Starts a collector that keeps the spans that it receives (OTLP over HTTP, JSON). */
async function startCollector(): Promise<{ url: string; spans: ReceivedSpan[]; server: Server }> {
  const spans: ReceivedSpan[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString())
      for (const { resource, scopeSpans } of resourceSpans) {
        const named = resource.attributes.find((a: { key: string }) => a.key === 'service.name')
        for (const scope of scopeSpans)
          for (const span of scope.spans) spans.push({ ...span, service: named.value.stringValue })
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, server }
}

let collector: Awaited<ReturnType<typeof startCollector>>
let system: System
const traceId = 'abcdef0123456789abcdef0123456789'

beforeAll(async () => {
  collector = await startCollector()
  system = await startSystem({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  })
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 7, totalTickets: 5 }, { token })
}, 120_000)
afterAll(async () => {
  await system?.stop()
  collector?.server.close()
})

async function book(userId: string, headers: Record<string, string> = {}) {
  return system.api.post('/book', { eventId: 7 }, { token: await system.token(userId), headers })
}

describe('tracing', () => {
  it('traces a request through its job and its line to the transaction', async () => {
    const traceparent = `00-${traceId}-1111111111111111-01`
    expect((await book('lovelace', { traceparent })).status).toBe(200)

    const ours = () => collector.spans.filter((span) => span.traceId === traceId)
    expect(await until(() => ours().length >= 4, { timeoutMs: 20_000 })).toBe(true)
    const named = (name: string) => ours().find((span) => span.name === name) as ReceivedSpan
    const request = named('POST /book')
    expect(request).toMatchObject({ parentSpanId: '1111111111111111', service: 'ticket-line-api' })
    expect(named('wait in event-7').parentSpanId).toBe(request.spanId)
    const serve = named('serve event-7')
    expect(serve).toMatchObject({
      parentSpanId: request.spanId,
      service: 'ticket-line-booking-worker',
    })
    const transaction = named('transaction')
    expect(transaction.parentSpanId).toBe(serve.spanId)
    expect(BigInt(transaction.endTimeUnixNano) <= BigInt(request.endTimeUnixNano)).toBe(true)
  })

  it('names the spans of requests by their route, and records no personal data', async () => {
    await system.api.get('/events/7/me', { token: await system.token('lovelace') })
    const seen = () => collector.spans.some((span) => span.name === 'GET /events/:eventId/me')
    expect(await until(seen, { timeoutMs: 20_000 })).toBe(true)
    // This name cannot be part of a hexadecimal id.
    expect(JSON.stringify(collector.spans)).not.toMatch(/lovelace|Bearer|eyJ/)
  })

  it('starts a trace with the request if its traceparent is missing or invalid', async () => {
    await book('bob', { traceparent: 'this is no traceparent' })
    const seen = () =>
      collector.spans.filter((span) => span.name === 'POST /book' && !span.parentSpanId)
    expect(await until(() => seen().length === 1, { timeoutMs: 20_000 })).toBe(true)
  })

  it('records no span for a probe', async () => {
    await system.api.get('/readyz')
    await book('cleo')
    await until(() => collector.spans.filter((span) => span.name === 'POST /book').length === 3, {
      timeoutMs: 20_000,
    })
    expect(collector.spans.map((span) => span.name)).not.toContain('GET')
  })
})

describe('metrics', () => {
  it('exports metrics of decisions, servers and pools of the API and the worker', async () => {
    const api = await readMetrics(system.apis[0]?.url as string)
    const worker = await readMetrics(system.workers[0]?.url as string)
    expect(metricIn(worker, 'ticket_line_decisions_total{outcome="booked"}')).toBe(3)
    expect(metricIn(worker, 'ticket_line_job_wait_seconds_count')).toBe(3)
    expect(metricIn(worker, 'ticket_line_redis_append_only')).toBe(1)
    expect(metricIn(worker, 'ticket_line_redis_append_ok')).toBe(1)
    expect(metricIn(worker, 'ticket_line_redis_noeviction')).toBe(1)
    expect(metricIn(worker, 'ticket_line_redis_evicted_keys')).toBe(0)
    expect(metricIn(worker, 'ticket_line_server_reachable{server="postgres"}')).toBe(1)
    expect(metricIn(worker, 'ticket_line_oldest_command_seconds')).toBe(0)
    for (const server of ['redis', 'postgres']) {
      expect(
        metricIn(worker, `ticket_line_round_trip_seconds_count{server="${server}"}`),
      ).toBeGreaterThan(0)
      expect(api).toContain(`ticket_line_round_trip_seconds_count{server="${server}"}`)
    }
    expect(api).toContain('ticket_line_pg_connections_max{pool="line"}')
    expect(api).toMatch(/nodejs_eventloop_lag_p99_seconds \d/)
  })

  it('exports metrics of undecided commands of a line that no worker serves', async () => {
    const redis = new Redis(system.redisUrl, { maxRetriesPerRequest: null })
    const queue = new Queue('event-7', { connection: redis, prefix: `${system.keyPrefix}{s0}` })
    onTestFinished(async () => {
      await queue.close()
      redis.disconnect()
    })
    await queue.pause()
    await book('dan', { prefer: 'respond-async' })
    await book('eve', { prefer: 'respond-async' })

    const metric = async (name: string) =>
      metricIn(await readMetrics(system.workers[0]?.url as string), name)
    const oldest = () => metric('ticket_line_oldest_command_seconds')
    expect(await until(async () => (await oldest()) > 1, { timeoutMs: 20_000 })).toBe(true)
    expect(await metric('ticket_line_lines_with_work')).toBe(1)
    expect(await metric('ticket_line_undecided_commands')).toBe(2)
    expect(await metric('ticket_line_deepest_line_commands')).toBe(2)

    await queue.resume()
    await book('fay')
    expect(await until(async () => (await oldest()) === 0, { timeoutMs: 20_000 })).toBe(true)
  })
})
