import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

const read = (...parts: string[]): string => readFileSync(fromRoot(...parts), 'utf8')
const rules = read('deploy/prometheus/alerts.yml')
const runbook = read('docs/operations.md')
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map((match) => match[1] as string)

describe('every alert', () => {
  it.each(alerts)('%s has its page in the runbook, and points at it', (alert) => {
    expect(runbook).toContain(`### ${alert}\n`)
    expect(rules).toContain(`docs/operations.md#${alert.toLowerCase()}`)
  })
})

describe('every metric that is asked for', () => {
  let system: System
  let shown: string
  beforeAll(async () => {
    system = await startSystem()
    const texts = [...system.apis, ...system.workers].map(async ({ url }) =>
      (await fetch(`${url}/metrics`)).text(),
    )
    shown = (await Promise.all(texts)).join('\n')
  }, 120_000)
  afterAll(() => system?.stop())

  it('is one that a service shows', () => {
    const known = new Set(
      [...shown.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1] as string),
    )
    const asking = [
      'deploy/prometheus/alerts.yml',
      'deploy/grafana/dashboards/ticket-line.json',
      'deploy/keda/scaled-objects.yml',
    ]
    const asked = asking.flatMap((file) =>
      [...read(file).matchAll(/\b(?:ticket_line|nodejs|process)_[a-z0-9_]+\b/g)].map(
        ([name]) => name,
      ),
    )
    expect(asked.length).toBeGreaterThan(40)
    const unknown = asked.filter(
      (name) => !known.has(name) && !known.has(name.replace(/_(bucket|count|sum)$/, '')),
    )
    expect([...new Set(unknown)]).toEqual([])
  })

  it('is there from the start where its increase is asked for', () => {
    const increases = [...rules.matchAll(/increase\(([^[]+)\[/g)].map((match) => match[1] as string)
    expect(increases.length).toBeGreaterThan(1)
    const lines = shown.split('\n')
    expect(increases.filter((series) => !lines.includes(`${series} 0`))).toEqual([])
  })

  it('leaves out probes and scrapes by the routes under which they are counted', async () => {
    const leftOut = [...rules.matchAll(/route!~"([^"]+)"/g)].flatMap(([, routes = '']) =>
      routes.split('|'),
    )
    expect(new Set(leftOut)).toEqual(new Set(['/readyz', '/livez', '/metrics']))
    const url = system.apis[0]?.url
    for (const path of new Set(leftOut)) await fetch(`${url}${path}`)
    const missing = async () => {
      const counted = await (await fetch(`${url}/metrics`)).text()
      return leftOut.filter((route) => !counted.includes(`_count{route="${route}",`))
    }
    // What it shows may be a second old.
    await expect.poll(missing, { timeout: 10_000 }).toEqual([])
  })
})
