import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { readMetrics } from '../stack/metrics.ts'
import { type System, startSystem } from '../stack/system.ts'
import { dashboards, expressionsOf } from './dashboards.ts'
import { metricsIn } from './promql.ts'

const read = (...parts: string[]): string => readFileSync(fromRoot(...parts), 'utf8')
const rules = read('deploy/prometheus/alerts.yml')
const tested = read('deploy/prometheus/alerts.test.yml')
const runbook = read('docs/operations.md')
const watched = runbook.slice(runbook.indexOf('## What to watch'), runbook.indexOf('## Runbook'))
/** The text of each alert by its name. */
const alerts = new Map(
  rules
    .split(/^ +- alert: /m)
    .slice(1)
    .map((text): [string, string] => [/^\w+/.exec(text)?.[0] ?? '', text]),
)

/** The expression of an alert, which is the rest of its line or a block of lines. */
function expressionOf(alert: string): string {
  const [, line, block] = /^ +expr: (?:([^|\n].*)|\|\n((?: {10}.*\n)+))/m.exec(alert) ?? []
  return line ?? block ?? ''
}

describe('the alerts in deploy/prometheus', () => {
  it.each([...alerts])('have a section in the runbook for %s, and a link to it', (name, text) => {
    expect(runbook).toContain(`### ${name}\n`)
    expect(text).toMatch(
      new RegExp(`^ +runbook_url: https://\\S+/docs/operations.md#${name.toLowerCase()}$`, 'm'),
    )
  })

  it('quote every text that begins with a template, because YAML would read it as a mapping', () => {
    expect(rules.split('\n').filter((line) => /^\s*(- )?\w+: \{\{/.test(line))).toEqual([])
  })

  it.each(['OneApi', 'SlowBookings', 'DiskAlmostFull', 'DiskFilling'])(
    'have a test of promtool in which %s fires, and one in which it does not',
    (name) => {
      expect(tested).toMatch(new RegExp(`alertname: ${name}, exp_alerts: \\[\\]`))
      expect(tested).toMatch(new RegExp(`alertname: ${name}\\n +exp_alerts:(?! \\[\\])`))
    },
  )
})

describe('the metrics in alerts, dashboards, autoscaling and pages about operations', () => {
  let system: System
  let exported: string
  beforeAll(async () => {
    system = await startSystem({ notifiers: 1 })
    const processes = [...system.apis, ...system.workers, ...system.notifiers]
    exported = (await Promise.all(processes.map(({ url }) => readMetrics(url)))).join('\n')
  }, 120_000)
  afterAll(() => system?.stop())

  /** Selects the names that no service exports. */
  function unknownOf(names: string[]): string[] {
    const known = new Set(
      [...exported.matchAll(/^# TYPE (\w+) /gm)].map((match) => match[1] as string),
    )
    const unknown = names.filter(
      (name) => !known.has(name) && !known.has(name.replace(/_(bucket|count|sum)$/, '')),
    )
    return [...new Set(unknown)]
  }

  it('exist if an alert, the autoscaling or a page names them', () => {
    const files = ['deploy/prometheus/alerts.yml', 'deploy/kubernetes/keda/scaled-objects.yml']
    const pages = [watched, read('docs/scaling.md')]
    // `process_requests` and the like are limits. `ticket_line_event_.*` is a pattern of names.
    const name =
      /\b(?:(?:ticket_line|nodejs)_[a-z0-9_]+|process_[a-z0-9_]+_(?:seconds|total|bytes|fds))\b(?!\.\*)/g
    const used = [...pages, ...files.map((file) => read(file))].flatMap((text) =>
      [...text.matchAll(name)].map(([found]) => found),
    )
    expect(used.length).toBeGreaterThan(40)
    expect(unknownOf(used)).toEqual([])
  })

  it('exist if an expression uses them, or are those of Prometheus and disks', () => {
    // `up` and `ALERTS` are Prometheus's own.
    const others =
      /^(?:up|ALERTS|node_filesystem_(?:avail|size)_bytes|kubelet_volume_stats_(?:available|capacity)_bytes)$/
    const expressions = [
      ...[...alerts.values()].map(expressionOf),
      ...dashboards.flatMap(expressionsOf),
    ]
    for (const expression of expressions)
      expect(metricsIn(expression).length, expression).toBeGreaterThan(0)
    const used = expressions.flatMap(metricsIn)
    expect(unknownOf(used.filter((name) => !others.test(name)))).toEqual([])
  })

  it('are exported from the start if an alert uses their increase', () => {
    const increases = [...rules.matchAll(/increase\(([^[]+)\[/g)].map((match) => match[1] as string)
    expect(increases.length).toBeGreaterThan(1)
    const lines = exported.split('\n')
    expect(increases.filter((series) => !lines.includes(`${series} 0`))).toEqual([])
  })

  it('count the routes that the error rate leaves out, which are probes and scrapes', async () => {
    const leftOut = [...rules.matchAll(/route!~"([^"]+)"/g)].flatMap(([, routes = '']) =>
      routes.split('|'),
    )
    expect(new Set(leftOut)).toEqual(new Set(['/readyz', '/livez', '/metrics']))
    const url = system.apis[0]?.url as string
    for (const path of new Set(leftOut)) await fetch(`${url}${path}`)
    const missing = async () => {
      const counted = await readMetrics(url)
      return leftOut.filter((route) => !counted.includes(`_count{route="${route}",`))
    }
    // The exported numbers may be a second old.
    await expect.poll(missing, { timeout: 10_000 }).toEqual([])
  })

  it('are documented for each limit by which requests are refused', () => {
    const limits = [...exported.matchAll(/^ticket_line_refusals_total\{limit="(\w+)"\}/gm)]
    expect(limits.length).toBeGreaterThan(10)
    const section = watched.slice(watched.indexOf('### Refusals by limit'))
    for (const [, limit = ''] of limits)
      expect(section).toMatch(new RegExp(`^\\|.*\`${limit}\``, 'm'))
  })
})
