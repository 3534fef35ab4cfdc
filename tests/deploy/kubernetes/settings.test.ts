import { randomBytes } from 'node:crypto'
import { globSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import { startApi, startNotifier, startWorker } from '../../stack/processes.ts'
import { createBase } from '../../stack/system.ts'
import {
  containerOf,
  FOLDER,
  inCompose,
  named,
  nameOf,
  ofKind,
  read,
  readKustomization,
  secrets,
  secretsOf,
  secretVariablesOf,
  settings,
  workloads,
} from './manifests.ts'

describe('the settings in deploy/kubernetes', () => {
  const sources = globSync('{packages,services}/*/src/**/*.ts', { cwd: fromRoot('.') })
    .filter((file) => !file.endsWith('.test.ts'))
    .map(read)
    .join('\n')

  it('are variables that the documentation lists and the code reads', () => {
    const documentation = read('docs/configuration.md')
    const { configMapGenerator = [] } = readKustomization(`${FOLDER}/example`)
    const assignments = configMapGenerator.flatMap(({ literals = [] }) => literals)
    const changed = assignments.map((text) => text.split('=')[0])
    const inSecrets = [...secrets.values()].flat()
    const names = [...Object.keys(settings), ...changed, ...inSecrets]
    expect(names.length).toBeGreaterThan(12)
    for (const name of names) {
      expect(documentation, name).toContain(`\`${name}\``)
      expect(sources, name).toContain(`'${name}'`)
    }
  })

  it('contain no secret', () => {
    expect(
      Object.keys(settings).filter((name) => /PASSWORD|SECRET|TOKEN|KEYS|URL/.test(name)),
    ).toEqual([])
    expect(ofKind('Secret')).toEqual([])
  })

  it('come from the ConfigMap and from the Secrets in the documentation only', () => {
    for (const workload of workloads) {
      const { env, envFrom } = containerOf(workload)
      expect(env, nameOf(workload)).toBeUndefined()
      expect(envFrom[0]).toEqual({ configMapRef: { name: 'settings' } })
      for (const { secretRef } of envFrom.slice(1)) expect(secretRef.optional).toBeUndefined()
    }
    expect(new Set(workloads.flatMap(secretsOf))).toEqual(new Set(secrets.keys()))
  })

  it('give each process the secrets that it has in Compose, and no others', () => {
    /** The variables of a Secret, each as the Compose file writes its value. */
    const inComposeAs: Record<string, RegExp> = {
      DATABASE_URL: /\$\{DATABASE_PASSWORD/,
      REDIS_URL: /\$\{REDIS_PASSWORD/,
      JWT_SECRET: /\$\{JWT_SECRET/,
      ADMIN_PASSWORD: /\$\{ADMIN_PASSWORD/,
      WEBHOOK_SECRET_KEY: /\$\{WEBHOOK_SECRET_KEY/,
      METRICS_TOKEN: /\$\{METRICS_TOKEN/,
    }
    for (const workload of workloads) {
      const values = Object.values(inCompose(workload).environment).join('\n')
      if (nameOf(workload) === 'migration') {
        expect(secretsOf(workload)).toEqual(['database-migration'])
        expect(values).toContain('${MIGRATION_PASSWORD')
        continue
      }
      expect(secretsOf(workload)).not.toContain('database-migration')
      const expected = Object.keys(inComposeAs).filter((name) => inComposeAs[name]?.test(values))
      expect(new Set(secretVariablesOf(workload)), nameOf(workload)).toEqual(new Set(expected))
    }
  })
})

describe('the services in deploy/kubernetes', () => {
  it('start with the settings and Secrets of their pods, and pass their probes', async () => {
    const base = await createBase()
    onTestFinished(() => base.remove())
    const values: Record<string, string> = {
      DATABASE_URL: base.databaseUrl,
      REDIS_URL: base.redisUrl,
      JWT_SECRET: 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO',
      ADMIN_PASSWORD: 'a wall of wet slate',
      WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex'),
      METRICS_TOKEN: 'only-for-scrapes',
    }
    const envOf = (name: string): Record<string, string> => ({
      ...settings,
      ...Object.fromEntries(
        secretVariablesOf(named('Deployment', name)).map((key) => [key, values[key] ?? '']),
      ),
      KEY_PREFIX: base.keyPrefix,
    })
    const started = await Promise.all([
      startApi(envOf('api')),
      startWorker(envOf('booking-worker')),
      startNotifier(envOf('notifier')),
    ])
    onTestFinished(() =>
      Promise.all(started.map((service) => service.stop())).then(() => undefined),
    )
    for (const { name, url } of started) {
      const { livenessProbe, readinessProbe } = containerOf(named('Deployment', name))
      for (const { httpGet } of [livenessProbe, readinessProbe])
        expect((await fetch(`${url}${httpGet.path}`)).status, name).toBe(200)
      expect((await fetch(`${url}/metrics`)).status, name).toBe(401)
    }
  })
})
