import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

interface DataSource {
  type: string
  uid: string
}

/** A panel of a dashboard, as far as the tests read it. */
export interface Panel {
  id: number
  type: string
  title: string
  description?: string
  datasource?: DataSource
  gridPos: { h: number; w: number; x: number; y: number }
  fieldConfig?: {
    defaults: { unit?: string; thresholds?: { steps: { color: string; value: number | null }[] } }
  }
  targets?: { refId: string; expr: string; datasource?: DataSource }[]
}

interface Variable {
  name: string
  type: string
  query: string | { query: string }
  current: { text?: string; value?: string }
  datasource?: DataSource
}

/** A dashboard of Grafana, as far as the tests read it. */
export interface Dashboard {
  uid: string
  title: string
  schemaVersion: number
  __inputs: { name: string; type: string; pluginId: string }[]
  __requires: { type: string; id: string }[]
  templating: { list: Variable[] }
  panels: Panel[]
  /** Its file, as text. */
  text: string
}

const FOLDER = fromRoot('deploy', 'grafana', 'dashboards')

export const dashboards: Dashboard[] = globSync('*.json', { cwd: FOLDER })
  .sort()
  .map((name) => {
    const text = readFileSync(path.join(FOLDER, name), 'utf8')
    return { ...JSON.parse(text), text }
  })

/** All queries of a dashboard in PromQL. */
export function expressionsOf({ panels }: Dashboard): string[] {
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
}
