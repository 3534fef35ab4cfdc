import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'

/** A Kubernetes object. The tests look deep into many kinds, which the schemas check. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Manifest = any

export const FOLDER = 'deploy/kubernetes'
export const PART_OF = 'app.kubernetes.io/part-of'
export const COMPONENT = 'app.kubernetes.io/component'
export const SERVICES = ['api', 'booking-worker', 'notifier'] as const

export const read = (file: string): string => readFileSync(fromRoot(file), 'utf8')
/** What the base and all components contain. */
export const objects = ['base', 'keda', 'prometheus'].flatMap((name) =>
  readObjects(`${FOLDER}/${name}`),
)
export const ofKind = (kind: string): Manifest[] => objects.filter((object) => object.kind === kind)
export const named = (kind: string, name: string): Manifest =>
  ofKind(kind).find(({ metadata }) => metadata.name === name)
export const workloads = [...ofKind('Deployment'), ...ofKind('Job')]
export const nameOf = ({ metadata }: Manifest): string => metadata.name
export const podOf = (workload: Manifest): Manifest => workload.spec.template.spec
export const containerOf = (workload: Manifest): Manifest => podOf(workload).containers[0]
/** The variables of all processes that are no secrets. */
export const settings: Record<string, string> = named('ConfigMap', 'settings').data

export const compose = parse(read('docker-compose.yml'), { merge: true })
/** The service of the Compose file that a workload corresponds to. */
export const inCompose = (workload: Manifest): Manifest =>
  compose.services[nameOf(workload) === 'migration' ? 'migrate' : nameOf(workload)]

/** What the documentation says about Kubernetes. */
export const [, page = ''] =
  /^## Kubernetes\n([\s\S]*?)^## /m.exec(read('docs/operations.md')) ?? []
/** The variables of each Secret, from the table in the documentation. */
export const secrets = new Map(
  [...page.matchAll(/^\| `([\w-]+)` \| (.*) \| .* \|$/gm)].map(
    ([, name = '', keys = '']): [string, string[]] => [name, keys.match(/[A-Z_]+/g) ?? []],
  ),
)
/** The names of the Secrets that a workload refers to. */
export const secretsOf = (workload: Manifest): string[] =>
  containerOf(workload)
    .envFrom.slice(1)
    .map(({ secretRef }: Manifest) => secretRef.name)
/** The variables that a workload gets from its Secrets. */
export const secretVariablesOf = (workload: Manifest): string[] =>
  secretsOf(workload).flatMap((name) => secrets.get(name) ?? [])

interface Kustomization {
  resources?: string[]
  components?: string[]
  configMapGenerator?: {
    name: string
    envs?: string[]
    literals?: string[]
    options?: { labels: Record<string, string> }
  }[]
  images?: { name: string }[]
}

/** Reads all objects of a YAML file. Duplicate keys throw. */
export function readManifests(file: string): Manifest[] {
  return parseAllDocuments(read(file)).map((document) => {
    const [error] = document.errors
    if (error !== undefined) throw new Error(`${file}: ${error.message}`)
    return document.toJS()
  })
}

/** The kustomization of a folder, such as `deploy/kubernetes/base`. */
export function readKustomization(folder: string): Kustomization {
  return parse(read(`${folder}/kustomization.yml`))
}

/**
 * The objects of a kustomization and of those that it includes. Patches are not applied, and names
 * do not change. A ConfigMap that is generated from files of variables becomes an object.
 */
function readObjects(folder: string): Manifest[] {
  const { resources = [], components = [], configMapGenerator = [] } = readKustomization(folder)
  const generated = configMapGenerator
    .filter(({ envs }) => envs !== undefined)
    .map(({ name, envs = [] }) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: Object.assign({}, ...envs.map((file) => readVariables(path.join(folder, file)))),
    }))
  const included = [...resources, ...components].flatMap((name) => {
    const place = path.join(folder, name)
    return name.endsWith('.yml') ? readManifests(place) : readObjects(place)
  })
  return [...generated, ...included]
}

function readVariables(file: string): Record<string, string> {
  const lines = read(file).split('\n')
  return Object.fromEntries(
    lines
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}
