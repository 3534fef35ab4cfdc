import { readEnv } from '@ticket-line/shared'
import { Gauge, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createMetricsGuard, createMetricsPage, readMetricsToken } from './metrics-page.js'

function countingRegistry() {
  const registry = new Registry()
  let rendered = 0
  new Gauge({
    name: 'rendered',
    help: 'How often this was rendered.',
    registers: [registry],
    collect() {
      this.set(++rendered)
    },
  })
  return registry
}

it('renders metrics at most once a second for all clients', async () => {
  let nowMs = 0
  const page = createMetricsPage(countingRegistry(), () => nowMs)
  const pages = await Promise.all([page(), page(), page()])
  expect(new Set(pages.map(({ body }) => body)).size).toBe(1)
  nowMs = 999
  expect(await page()).toBe(pages[0])
  nowMs = 1000
  expect(new TextDecoder().decode((await page()).body)).toContain('rendered 2')
})

it('renders metrics again at once after a failure', async () => {
  const registry = countingRegistry()
  const broken = registry.metrics.bind(registry)
  registry.metrics = async () => {
    registry.metrics = broken
    throw new Error('broken')
  }
  const page = createMetricsPage(registry, () => 0)
  await expect(page()).rejects.toThrow('broken')
  expect((await page()).contentType).toMatch(/^text\/plain/)
})

it('lets all clients read metrics if no token is set', () => {
  expect(createMetricsGuard(undefined)(undefined)).toBe(true)
})

it('requires exactly the token that is set', () => {
  const mayRead = createMetricsGuard('s3cret')
  for (const header of ['Bearer s3cret', 'bearer  s3cret ']) expect(mayRead(header)).toBe(true)
  for (const header of [
    undefined,
    '',
    's3cret',
    'Basic s3cret',
    'Bearer',
    'Bearer s3cre',
    'Bearer s3cret x',
  ]) {
    expect(mayRead(header)).toBe(false)
  }
})

it('refuses a token that no client can send', () => {
  expect(readMetricsToken(readEnv({}))).toBeUndefined()
  expect(readMetricsToken(readEnv({ METRICS_TOKEN: 'abc' }))).toBe('abc')
  expect(() => readMetricsToken(readEnv({ METRICS_TOKEN: 'two words' }))).toThrow('METRICS_TOKEN')
})
