import { describe, expect, it } from 'vitest'
import { appUnderTest, call } from '../testing/app-under-test.js'

describe('probes', () => {
  it('is alive whatever is out of reach', async () => {
    const app = appUnderTest({ availability: { redis: () => false, postgres: () => false } })
    expect(await call(app, 'GET /livez')).toMatchObject({ status: 200, json: { status: 'alive' } })
  })

  it('is ready, or says what is out of reach', async () => {
    expect(await call(appUnderTest(), 'GET /readyz')).toMatchObject({
      status: 200,
      json: { status: 'ready' },
    })
    const app = appUnderTest({ availability: { redis: () => false, postgres: () => true } })
    const answer = await call(app, 'GET /readyz')
    expect(answer).toMatchObject({ status: 503, json: { status: 'unavailable', unreachable: ['redis'] } })
  })

  it('is not ready while it stops, and closes its connections', async () => {
    const answer = await call(appUnderTest({ lifecycle: { draining: true } }), 'GET /readyz')
    expect(answer).toMatchObject({ status: 503, json: { status: 'stopping' } })
    expect(answer.headers.get('connection')).toBe('close')
  })

  it('is not limited', async () => {
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
    expect(text).toContain('_count{route="other",method="GET",status="404"} 1')
    expect(text).not.toContain('/status/77')
    expect(text).toContain('nodejs_eventloop_lag')
  })
})
