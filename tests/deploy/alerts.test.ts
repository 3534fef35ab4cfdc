import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

const read = (...parts: string[]): string => readFileSync(fromRoot(...parts), 'utf8')
const rules = read('deploy/prometheus/alerts.yml')
const runbook = read('docs/operations.md')
const watched = runbook.slice(runbook.indexOf('## What to watch'), runbook.indexOf('## Runbook'))
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map((match) => match[1] as string)

describe('alerts', () => {
  it.each(alerts)('has a section in the runbook for the alert %s, which links to it', (alert) => {
    expect(runbook).toContain(`### ${alert}\n`)
    expect(rules).toContain(`docs/operations.md#${alert.toLowerCase()}`)
  })

  it('quotes every text that begins with a template, because YAML would read it as a mapping', () => {
    expect(rules.split('\n').filter((line) => /^\s*(- )?\w+: \{\{/.test(line))).toEqual([])
  })
})

describe('metrics in alerts, dashboard, autoscaling and the pages about operations', () => {
  let system: System
  let exported: string
  beforeAll(async () => {
    system = await startSystem({ notifiers: 1 })
    const texts = [...system.apis, ...system.workers, ...system.notifiers].map(async ({ url }) =>
      (await fetch(`${url}/metrics`)).text(),
    )
    exported = (await Promise.all(texts)).join('\n')
  }, 120_000)
  afterAll(() => system?.stop())

  it('uses only metrics that a service exports', () => {
    const known = new Set(
      [...exported.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1] as string),
    )
    const files = [
      'deploy/prometheus/alerts.yml',
      'deploy/grafana/dashboards/ticket-line.json',
      'deploy/keda/scaled-objects.yml',
      'docs/scaling.md',
    ]
    const used = [watched, ...files.map((file) => read(file))].flatMap((text) =>
      [...text.matchAll(/\b(?:ticket_line|nodejs|process)_[a-z0-9_]+\b/g)].map(([name]) => name),
    )
    expect(used.length).toBeGreaterThan(40)
    const unknown = used.filter(
      (name) => !known.has(name) && !known.has(name.replace(/_(bucket|count|sum)$/, '')),
    )
    expect([...new Set(unknown)]).toEqual([])
  })

  it('exports a counter from the start if an alert uses its increase', () => {
    const increases = [...rules.matchAll(/increase\(([^[]+)\[/g)].map((match) => match[1] as string)
    expect(increases.length).toBeGreaterThan(1)
    const lines = exported.split('\n')
    expect(increases.filter((series) => !lines.includes(`${series} 0`))).toEqual([])
  })

  it('leaves exactly the routes of probes and scrapes out of the error rate', async () => {
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
    // The exported numbers may be a second old.
    await expect.poll(missing, { timeout: 10_000 }).toEqual([])
  })
})
