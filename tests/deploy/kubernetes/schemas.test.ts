import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { run, which } from '../../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import {
  COMPONENT,
  containerOf,
  FOLDER,
  type Manifest,
  named,
  nameOf,
  objects,
  PART_OF,
  page,
  read,
  readKustomization,
  readManifests,
  SERVICES,
  settings,
  workloads,
} from './manifests.ts'

const hasKubectl = which('kubectl') !== undefined

describe('the published schemas of Kubernetes', () => {
  /** Packages that are generated from the schemas of custom resources, by their API groups. */
  const custom: Record<string, string> = {
    'keda.sh': '@kubernetes-models/keda',
    'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  }

  /** The module that is generated from the schema of an object. */
  function moduleOf({ apiVersion, kind }: Manifest): string {
    const [group] = apiVersion.split('/')
    return `${custom[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`
  }

  /** @returns what is wrong with the values of an object */
  async function faultsOf(object: Manifest): Promise<string[]> {
    const Model = (await import(moduleOf(object)))[object.kind]
    try {
      new Model(object).validate()
      return []
    } catch (error) {
      return [`${object.kind} ${nameOf(object)}: ${(error as Error).message}`]
    }
  }

  /** Compiles objects as literals of the published types, which allow no unknown fields. */
  async function compile(objects: Manifest[]): Promise<void> {
    const folder = mkdtempSync(fromRoot('tests/deploy/kubernetes/.objects-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = path.join(folder, 'objects.mts')
    const constants = objects.map((object, index) => {
      const type = `import('${moduleOf(object)}').I${object.kind}`
      return `export const object${index}: ${type} = ${JSON.stringify(object, undefined, 1)}\n`
    })
    writeFileSync(file, constants.join(''))
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--types', 'node']
    const target = ['--target', 'es2022', '--module', 'nodenext']
    await run(fromRoot('node_modules/.bin/tsc'), [...flags, ...target, file])
  }

  const files = globSync(`${FOLDER}/**/*.yml`, { cwd: fromRoot('.') }).filter(
    (file) => !file.endsWith('kustomization.yml'),
  )
  // Patches are parts of objects. kubectl applies them below.
  const whole = files.filter((file) => !file.endsWith('example/servers.yml')).flatMap(readManifests)

  it('accept every object of every file, with no unknown field', async () => {
    expect(whole.length).toBeGreaterThan(20)
    expect((await Promise.all(whole.map(faultsOf))).flat()).toEqual([])
    await compile(whole)
  })

  it('refuse a wrong value and an unknown field', async () => {
    const wrong = structuredClone(named('Deployment', 'api'))
    wrong.spec.replicas = 'two'
    expect(await faultsOf(wrong)).toHaveLength(1)
    const unknown = structuredClone(named('Deployment', 'api'))
    unknown.spec.template.spec.securityContext.runAsNonroot = true
    expect(await faultsOf(unknown)).toEqual([])
    await expect(compile([unknown])).rejects.toThrow('runAsNonroot')
  })

  it.skipIf(!hasKubectl)('accept what kubectl builds from the example', async () => {
    const text = await run('kubectl', ['kustomize', fromRoot(FOLDER, 'example')])
    const built: Manifest[] = parseAllDocuments(text).map((document) => document.toJS())
    expect((await Promise.all(built.map(faultsOf))).flat()).toEqual([])
    await compile(built)

    const images = built.flatMap(({ spec }) => spec?.template?.spec.containers ?? [])
    for (const { image } of images) expect(image).toMatch(/^ghcr\.io\/.*:\d+\.\d+\.\d+$/)
    const replicas = built
      .filter(({ kind }) => kind === 'Deployment')
      .map((deployment) => [nameOf(deployment), deployment.spec.replicas])
    // KEDA sets the others.
    expect(Object.fromEntries(replicas)).toEqual({ notifier: 1, ops: 1 })
    // The pods refer to the generated ConfigMap, which has the settings of both.
    const { metadata, data } = built.find(({ kind }) => kind === 'ConfigMap') ?? {}
    expect(data).toMatchObject({ ...settings, RATE_LIMIT: '300' })
    expect(text.match(new RegExp(`name: ${metadata.name}$`, 'gm'))).toHaveLength(6)
  })
})

describe('the kustomizations in deploy/kubernetes', () => {
  it('include every file of their folders', () => {
    for (const folder of ['base', 'keda', 'prometheus', 'example']) {
      const text = read(`${FOLDER}/${folder}/kustomization.yml`)
      const files = globSync('*', { cwd: fromRoot(FOLDER, folder) })
      for (const file of files.filter((name) => name !== 'kustomization.yml'))
        expect(text, folder).toContain(file)
    }
  })

  it('give each image of the base a name and a tag in the example', () => {
    const used = new Set(workloads.map((workload) => containerOf(workload).image))
    const { images = [] } = readKustomization(`${FOLDER}/example`)
    expect(new Set(images.map(({ name }) => name))).toEqual(used)
  })

  it('patch only objects that exist', () => {
    for (const patch of readManifests(`${FOLDER}/example/servers.yml`))
      expect(named(patch.kind, nameOf(patch)), nameOf(patch)).toBeDefined()
  })

  it('label every object, so that an upgrade can apply one part after the other', () => {
    const components = new Set(
      objects
        .filter(({ kind }) => kind !== 'ConfigMap')
        .map(({ metadata }) => {
          expect(metadata.labels[PART_OF], metadata.name).toBe('ticket-line')
          return metadata.labels[COMPONENT]
        }),
    )
    const expected = ['settings', 'migration', ...SERVICES, 'ops', 'autoscaling', 'monitoring']
    expect(components).toEqual(new Set(expected))
    const [first] = readKustomization(`${FOLDER}/base`).configMapGenerator ?? []
    expect(first?.options?.labels).toEqual({ [PART_OF]: 'ticket-line', [COMPONENT]: 'settings' })
  })

  it('are applied by the documentation in the order that an upgrade needs', () => {
    const parts = [...page.matchAll(/^part ([\w,-]+)$/gm)].flatMap(([, names = '']) =>
      names.split(','),
    )
    const [, services = ''] = /^for service in (.+); do\n {2}part \$service$/m.exec(page) ?? []
    expect(parts).toEqual(['settings', 'migration'])
    expect(services.split(' ')).toEqual(['booking-worker', 'api', 'notifier'])
    expect(read('docs/operations.md').replace(/\s+/g, ' ')).toContain(
      'Run the migration, replace the workers one by one, then the API processes, then the notifiers.',
    )
  })
})
