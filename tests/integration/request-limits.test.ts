import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import { type System, startSystem } from '../stack/system.ts'

const METRICS_TOKEN = 'read-these-numbers'

let system: System
let ada: string
beforeAll(async () => {
  // Without a worker a booking waits for as long as its client does.
  system = await startSystem({
    workers: 0,
    env: { MAX_REQUESTS: '3', MAX_LONG_POLLS: '2', METRICS_TOKEN },
  })
  ada = await system.token('ada')
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 3 }, { token })
})
afterAll(() => system?.stop())

async function metric(series: string): Promise<number> {
  return metricIn(await readMetrics(system.apis[0]?.url as string, METRICS_TOKEN), series)
}

const underWay = (what: string) => metric(`ticket_line_http_requests_under_way{what="${what}"}`)
const refusals = (limit: string) => metric(`ticket_line_refusals_total{limit="${limit}"}`)

describe('an API process at its limit of concurrent requests', () => {
  it('answers 503 busy over the limit of concurrent requests but still answers probes', async () => {
    const headers = { prefer: 'wait=5' }
    const pending = Array.from({ length: 3 }, () =>
      system.api.post('/book', { eventId: 1 }, { token: ada, headers }),
    )
    await expect.poll(() => underWay('requests'), { timeout: 10_000 }).toBe(3)
    const refused = await system.api.get('/events')
    expect(refused).toMatchObject({ status: 503, body: { code: 'busy' } })
    expect(refused.body.detail).toBe(refused.body.message)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await system.api.get('/readyz')).status).toBe(200)
    for (const { status } of await Promise.all(pending)) expect(status).toBe(202)
    expect((await system.api.get('/events')).status).toBe(200)
    await expect.poll(() => refusals('process_requests'), { timeout: 10_000 }).toBe(1)
  })

  it('limits long polls separately, so that they do not block other requests', async () => {
    const accepted = await system.api.post(
      '/book',
      { eventId: 1 },
      {
        token: ada,
        headers: { prefer: 'respond-async' },
      },
    )
    const poll = () =>
      system.api.get(accepted.body.statusUrl, { token: ada, headers: { prefer: 'wait=5' } })
    const polls = [poll(), poll()]
    await expect.poll(() => underWay('long_polls'), { timeout: 10_000 }).toBe(2)
    expect(await poll()).toMatchObject({ status: 503, body: { code: 'busy' } })
    expect(await underWay('requests')).toBe(0)
    expect((await system.api.get('/events')).status).toBe(200)
    for (const answer of await Promise.all(polls)) {
      expect(answer).toMatchObject({ status: 200, body: { state: 'queued' } })
    }
    await expect.poll(() => refusals('process_waits'), { timeout: 10_000 }).toBe(1)
  })
})

it('serves its metrics only to requests with METRICS_TOKEN', async () => {
  expect(await system.api.get('/metrics')).toMatchObject({
    status: 401,
    body: { code: 'unauthorized' },
  })
  expect((await system.api.get('/metrics', { token: METRICS_TOKEN })).status).toBe(200)
})
