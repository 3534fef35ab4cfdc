import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type Dashboard, dashboards, expressionsOf, type Panel } from './dashboards.ts'
import { metricsIn } from './promql.ts'

const read = (...parts: string[]): string => readFileSync(fromRoot(...parts), 'utf8')
const provisioned = read('deploy/grafana/provisioning/datasources/prometheus.yml')
const isRow = ({ type }: Panel): boolean => type === 'row'
const anchors = [...read('docs/operations.md').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-'),
)

/** The variables that Grafana sets in queries and links, and the input of an import. */
const BUILT_IN = /^(?:__rate_interval|__all|__value|__url_time_range|DS_PROMETHEUS)$/

function variablesUsed({ text }: Dashboard): Set<string> {
  return new Set([...text.matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name))
}

/** The links to the runbook, each as the address before `#` and the anchor after it. */
function runbookLinks(text: string): { page: string; anchor: string }[] {
  return [...text.matchAll(/(https:\/\/[^\s"#]+)#([\w-]+)/g)].map(([, page = '', anchor = '']) => ({
    page,
    anchor,
  }))
}

describe.each(dashboards.map((dashboard): [string, Dashboard] => [dashboard.uid, dashboard]))(
  'the dashboard %s',
  (_uid, dashboard) => {
    const { panels, templating } = dashboard
    const shown = panels.filter((panel) => !isRow(panel))

    it('has panels with different ids, each with a title, a unit and a description', () => {
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
      for (const { title, description, fieldConfig } of shown) {
        expect(title).toMatch(/^\S/)
        expect(description, title).toMatch(/^\S.*\.$/)
        expect(fieldConfig?.defaults.unit, title).toMatch(/^\w+$/)
      }
    })

    it('places its panels so that none overlaps another', () => {
      const taken = new Map<string, string>()
      for (const { title, gridPos } of panels) {
        expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.get(`${x},${y}`), title).toBeUndefined()
            taken.set(`${x},${y}`, title)
          }
        }
      }
    })

    it('begins with a row of key numbers, some of which change color at a threshold', () => {
      const first = shown.filter(({ gridPos }) => gridPos.y === 0)
      expect(first.length).toBeGreaterThanOrEqual(6)
      for (const { type, title } of first) expect(type, title).toBe('stat')
      const colored = first.filter(
        ({ fieldConfig }) => (fieldConfig?.defaults.thresholds?.steps.length ?? 0) > 1,
      )
      expect(colored.length).toBeGreaterThan(0)
    })

    it('has thresholds that begin without a value and ascend', () => {
      for (const { title, fieldConfig } of shown) {
        const [first, ...rest] = fieldConfig?.defaults.thresholds?.steps ?? []
        expect(first?.value, title).toBeNull()
        const values = rest.map(({ value }) => Number(value))
        expect(values, title).toEqual(values.toSorted((a, b) => a - b))
      }
    })

    it('has queries that name a metric and have balanced brackets', () => {
      for (const { title, targets = [] } of shown) {
        expect(targets.length, title).toBeGreaterThan(0)
        expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      }
      for (const expression of expressionsOf(dashboard)) {
        expect(metricsIn(expression).length, expression).toBeGreaterThan(0)
        expect(unbalanced(expression), expression).toBe('')
      }
    })

    it('defines every variable that it uses, and uses every one that it defines', () => {
      const defined = new Set(templating.list.map(({ name }) => name))
      const used = [...variablesUsed(dashboard)].filter((name) => !BUILT_IN.test(name))
      expect(new Set(used)).toEqual(defined)
    })

    it('takes the data source from its variable, which an import sets', () => {
      const variable = templating.list.find(({ name }) => name === 'datasource')
      expect(variable).toMatchObject({ type: 'datasource', query: 'prometheus' })
      expect(dashboard.__inputs).toMatchObject([
        { name: 'DS_PROMETHEUS', type: 'datasource', pluginId: 'prometheus' },
      ])
      // On import, Grafana replaces the value with the data source that the user chose.
      expect(variable?.current.value).toBe(`\${DS_PROMETHEUS}`)
      const sources = [
        ...shown.map(({ datasource }) => datasource),
        ...templating.list.filter(({ type }) => type === 'query').map((query) => query.datasource),
      ]
      for (const source of sources)
        expect(source).toEqual({ type: 'prometheus', uid: `\${datasource}` })
    })

    it('finds the data source of Compose by its name, because nobody imports it there', () => {
      const variable = templating.list.find(({ name }) => name === 'datasource')
      expect(provisioned).toContain(`{name: ${variable?.current.text}, uid: prometheus,`)
      expect(read('deploy/grafana/provisioning/dashboards/ticket-line.yml')).toContain(
        'path: /var/lib/grafana/dashboards',
      )
      expect(read('docker-compose.yml')).toContain(
        './deploy/grafana/dashboards:/var/lib/grafana/dashboards:ro',
      )
    })

    it('names the types of its panels as required plugins', () => {
      const types = new Set(shown.map(({ type }) => type))
      const required = dashboard.__requires.filter(({ type }) => type === 'panel')
      expect(new Set(required.map(({ id }) => id))).toEqual(types)
    })

    it('links to sections of the runbook that exist, and to dashboards that exist', () => {
      const links = runbookLinks(dashboard.text)
      expect(links.length).toBeGreaterThan(3)
      expect(links.map(({ anchor }) => anchor).filter((name) => !anchors.includes(name))).toEqual(
        [],
      )
      const uids = [...dashboard.text.matchAll(/"\/d\/([\w-]+)/g)].map(([, uid = '']) => uid)
      expect(uids.length).toBeGreaterThan(0)
      expect(uids.filter((uid) => !dashboards.some((other) => other.uid === uid))).toEqual([])
    })
  },
)

it('gives each dashboard an id of its own', () => {
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length)
  expect(dashboards.length).toBeGreaterThan(1)
})

it('links alerts and dashboards to one address of the runbook, which one command replaces', () => {
  const texts = [read('deploy/prometheus/alerts.yml'), ...dashboards.map(({ text }) => text)]
  const pages = new Set(texts.flatMap(runbookLinks).map(({ page }) => page))
  expect(pages.size).toBe(1)
  const [replaced] = /(?<=sed -i 's\|)[^|]+/.exec(read('docs/operations.md')) ?? []
  expect([...pages]).toEqual([`${replaced}/docs/operations.md`])
})

/** The brackets of an expression that have no partner. */
function unbalanced(expression: string): string {
  let brackets = expression.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').replaceAll(/[^()[\]{}]/g, '')
  for (let before = ''; before !== brackets; ) {
    before = brackets
    brackets = brackets.replaceAll(/\(\)|\[\]|\{\}/g, '')
  }
  return brackets
}
