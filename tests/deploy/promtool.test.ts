import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { beforeAll, describe, it, onTestFinished } from 'vitest'
import { canUseApt, fetchProgram } from '../../tools/dev-stack/apt.mjs'
import { run, which } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { dashboards, expressionsOf } from './dashboards.ts'

/** Prometheus's own tool. If it is not on PATH, that of the distribution is downloaded: 28 MB. */
let promtool: string | undefined
beforeAll(async () => {
  promtool = which('promtool')
  if (promtool === undefined && canUseApt())
    promtool = await fetchProgram('prometheus', 'promtool').catch(() => undefined)
}, 300_000)

describe('deploy/prometheus', () => {
  it('has alerts that fire when alerts.test.yml says so', { timeout: 120_000 }, async ({
    skip,
  }) => {
    if (promtool === undefined) return skip()
    const cwd = fromRoot('deploy', 'prometheus')
    await run(promtool, ['test', 'rules', 'alerts.test.yml'], { cwd })
  })
})

describe('deploy/grafana', () => {
  it('has queries that Prometheus can parse', async ({ skip }) => {
    if (promtool === undefined) return skip()
    const folder = await mkdtemp(path.join(tmpdir(), 'queries-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const rules = dashboards.flatMap(expressionsOf).map((expression, index) => ({
      record: `query_${index}`,
      expr: expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, 'x'),
    }))
    const file = path.join(folder, 'rules.yml')
    // JSON is YAML.
    await writeFile(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }))
    await run(promtool, ['check', 'rules', file])
  })
})
