import { expect, it, onTestFinished } from 'vitest'
import { serveHealth } from './health.js'
import { createRegistry } from './registry.js'

async function healthOf(metricsToken?: string) {
  const registry = createRegistry('test')
  const health = await serveHealth({
    host: '127.0.0.1',
    port: 0,
    hostVariable: 'HOST',
    portVariable: 'PORT',
    registry,
    metricsToken,
    findUnreachable: async () => [],
  })
  onTestFinished(() => health.close())
  return (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${health.port}${path}`, { headers })
}

it('serves metrics to everybody if METRICS_TOKEN is not set', async () => {
  const get = await healthOf()
  const answer = await get('/metrics')
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    expect.stringMatching(/^text\/plain/),
  ])
  expect(await answer.text()).toContain('ticket_line_build_info')
})

it('requires METRICS_TOKEN for metrics, but not for probes', async () => {
  const get = await healthOf('s3cret')
  const refused = await get('/metrics')
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  expect((await get('/metrics', { authorization: 'Bearer s3cret' })).status).toBe(200)
  expect((await get('/livez')).status).toBe(200)
  expect((await get('/readyz')).status).toBe(200)
})
