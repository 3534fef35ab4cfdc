import { METHODS } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createConcurrencyLimit } from '../limits/concurrency.js'
import { LIMIT_NAMES } from '../limits/limit-names.js'
import { appUnderTest, call, fakeLine } from '../testing/app-under-test.js'

describe('probes', () => {
  it('report that the process is alive even if all servers are unavailable', async () => {
    const app = appUnderTest({ availability: { redis: () => false, postgres: () => false } })
    expect(await call(app, 'GET /livez')).toMatchObject({ status: 200, json: { status: 'alive' } })
  })

  it('report that the process is ready, or name the unavailable servers', async () => {
    expect(await call(appUnderTest(), 'GET /readyz')).toMatchObject({
      status: 200,
      json: { status: 'ready' },
    })
    const app = appUnderTest({ availability: { redis: () => false, postgres: () => true } })
    const answer = await call(app, 'GET /readyz')
    expect(answer).toMatchObject({
      status: 503,
      json: { status: 'unavailable', unreachable: ['redis'] },
    })
  })

  it('report that a stopping process is not ready', async () => {
    const answer = await call(appUnderTest({ lifecycle: { draining: true } }), 'GET /readyz')
    expect(answer).toMatchObject({ status: 503, json: { status: 'stopping' } })
    expect(answer.headers.get('connection')).toBe('close')
  })

  it('are not rate limited', async () => {
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const answer = await call(appUnderTest(), `GET ${path}`, { headers: { 'x-over-limit': '1' } })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('ratelimit')).toBeNull()
    }
  })
})

describe('GET /metrics', () => {
  it('counts requests by route, not by path', async () => {
    const app = appUnderTest()
    await call(app, 'GET /status/1')
    await call(app, 'GET /status/77')
    await call(app, 'GET /whatever')
    const { text, headers } = await call(app, 'GET /metrics')
    expect(headers.get('content-type')).toMatch(/^text\/plain/)
    expect(text).toContain('_count{route="/status/:eventId",method="GET",status="200"} 1')
    expect(text).toContain('_count{route="/status/:eventId",method="GET",status="404"} 1')
    expect(text).toContain('_count{route="other",method="other",status="404"} 1')
    expect(text).not.toContain('/status/77')
    expect(text).toContain('nodejs_eventloop_lag')
  })

  it('counts all methods that a path does not have in one series', async () => {
    const app = appUnderTest()
    const methods = METHODS.filter(
      (method) => !['CONNECT', 'TRACE', 'TRACK', 'GET', 'HEAD'].includes(method),
    )
    for (const method of methods) {
      for (const path of ['/status/1', '/nothing']) await app.request(path, { method })
    }
    const { text } = await call(app, 'GET /metrics')
    const counts = text.split('\n').filter((line) => line.includes('_seconds_count{'))
    expect(counts.map((line) => line.replace(/ \d+$/, ''))).toEqual([
      'ticket_line_http_request_duration_seconds_count{route="/status/:eventId",method="other",status="405"}',
      'ticket_line_http_request_duration_seconds_count{route="other",method="other",status="404"}',
      'ticket_line_http_request_duration_seconds_count{route="/status/:eventId",method="other",status="204"}',
    ])
  })

  it.each([
    ['process_requests', { requests: createConcurrencyLimit(0) }],
    ['line_depth', { line: fakeLine({ kind: 'busy', limit: 'line_depth' }) }],
    ['redis_memory', { line: fakeLine({ kind: 'busy', limit: 'redis_memory' }) }],
  ])(
    'counts a request that %s refused, and no refusal of another limit',
    async (limit, changes) => {
      const app = appUnderTest(changes)
      const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
      expect(answer).toMatchObject({ status: 503, json: { code: 'busy' } })
      const { text } = await call(app, 'GET /metrics')
      const counts = text.match(/^ticket_line_refusals_total\{.*$/gm)
      expect(counts?.toSorted()).toEqual(
        LIMIT_NAMES.map(
          (name) => `ticket_line_refusals_total{limit="${name}"} ${name === limit ? 1 : 0}`,
        ).toSorted(),
      )
    },
  )

  it('counts a 503 because of an unavailable server as no refusal of a limit', async () => {
    const app = appUnderTest({ availability: { redis: () => false, postgres: () => true } })
    await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    const { text } = await call(app, 'GET /metrics')
    expect(text.match(/^ticket_line_refusals_total\{.* [^0]$/gm)).toBeNull()
  })

  it('requires METRICS_TOKEN if it is set', async () => {
    const app = appUnderTest({ metricsToken: 's3cret' })
    const refused = await call(app, 'GET /metrics')
    expect(refused).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
    const headers = { authorization: 'Bearer s3cret' }
    expect(await call(app, 'GET /metrics', { headers })).toMatchObject({ status: 200 })
    expect((await call(app, 'GET /livez')).status).toBe(200)
  })

  it('answers probes and metrics even beyond MAX_REQUESTS', async () => {
    const app = appUnderTest({ requests: createConcurrencyLimit(0) })
    for (const path of ['/livez', '/readyz', '/metrics'])
      expect((await call(app, `GET ${path}`)).status).toBe(200)
    const busy = await call(app, 'GET /events')
    expect(busy).toMatchObject({ status: 503, json: { code: 'busy' } })
    expect(busy.headers.get('retry-after')).toBe('1')
    expect(busy.headers.get('x-request-id')).toBeTruthy()
  })
})
