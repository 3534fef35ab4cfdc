import { describe, expect, it } from 'vitest'
import {
  COMPONENT,
  compose,
  containerOf,
  FOLDER,
  inCompose,
  type Manifest,
  named,
  nameOf,
  ofKind,
  PART_OF,
  podOf,
  read,
  readManifests,
  SERVICES,
  secrets,
  workloads,
} from './manifests.ts'

describe('the pods in deploy/kubernetes', () => {
  it.each(workloads.map((workload) => [nameOf(workload), workload] as const))(
    'of %s are as strict as the containers of Compose',
    (_name, workload) => {
      const pod = podOf(workload)
      const container = containerOf(workload)
      const service = inCompose(workload)
      expect(pod.containers).toHaveLength(1)
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      const [, user] = /^USER (\d+):\d+$/m.exec(read(dockerfileOf(workload))) ?? []
      expect(pod.securityContext).toEqual({
        runAsNonRoot: true,
        runAsUser: Number(user),
        runAsGroup: Number(user),
        seccompProfile: { type: 'RuntimeDefault' },
      })
      expect(pod.volumes).toEqual([{ name: 'tmp', emptyDir: { sizeLimit: '64Mi' } }])
      expect(container.volumeMounts).toEqual([{ name: 'tmp', mountPath: '/tmp' }])
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers'])
        expect(pod[field], field).toBeUndefined()
      expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false })
      expect(named('ServiceAccount', pod.serviceAccountName)).toBeDefined()
    },
  )

  it('request CPU and memory, and have limits for both, with the memory of Compose', () => {
    for (const workload of workloads) {
      const { requests, limits } = containerOf(workload).resources
      for (const resources of [requests, limits])
        expect(Object.keys(resources), nameOf(workload)).toEqual(['cpu', 'memory'])
      expect(bytesOf(limits.memory)).toBeGreaterThan(bytesOf(requests.memory))
      const [, memory = ''] =
        /^(?:\$\{\w+:-)?(\d+[mg])\}?$/.exec(inCompose(workload).mem_limit) ?? []
      expect(limits.memory.toLowerCase(), nameOf(workload)).toBe(`${memory}i`)
    }
  })

  it.each(SERVICES)('of %s have the port of the image and the probes of the service', (name) => {
    const container = containerOf(named('Deployment', name))
    const image = read(`services/${name}/Dockerfile`)
    const [, port] = /^EXPOSE (\d+)$/m.exec(image) ?? []
    expect(container.ports).toEqual([{ name: 'http', containerPort: Number(port) }])
    expect(image).toContain(`http://127.0.0.1:${port}/livez`)
    const health = inCompose(named('Deployment', name)).healthcheck.test.at(-1)
    expect(health).toBe(`http://127.0.0.1:${port}/readyz`)
    expect(container.startupProbe.httpGet).toEqual({ path: '/livez', port: 'http' })
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'http' })
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' })
    // A failover of Redis may take 15 s. The Service must not drop all API processes in that time.
    const { periodSeconds, failureThreshold } = container.readinessProbe
    expect(periodSeconds * failureThreshold).toBeGreaterThan(15)
  })

  it('have the time to stop that the services need, and at least that of Compose', () => {
    const [, graceMs] = /`SHUTDOWN_GRACE_MS` \| services \| `(\d+)`/.exec(
      read('docs/configuration.md'),
    ) as unknown as [string, string]
    for (const name of SERVICES) {
      const deployment = named('Deployment', name)
      const wait = containerOf(deployment).lifecycle?.preStop.sleep.seconds ?? 0
      const seconds = podOf(deployment).terminationGracePeriodSeconds
      expect(seconds).toBeGreaterThan(wait + 0.5 + Number(graceMs) / 1000 + 1)
      expect(`${seconds}s`).toBe(inCompose(deployment).stop_grace_period)
    }
  })

  it('are selected by their own labels only', () => {
    for (const deployment of ofKind('Deployment')) {
      const labels = { [PART_OF]: 'ticket-line', [COMPONENT]: nameOf(deployment) }
      expect(deployment.spec.selector.matchLabels).toEqual(labels)
      expect(deployment.spec.template.metadata.labels).toEqual(labels)
      for (const { labelSelector } of podOf(deployment).topologySpreadConstraints ?? [])
        expect(labelSelector.matchLabels).toEqual(labels)
    }
  })

  it('run the entry points of the images', () => {
    expect(containerOf(named('Job', 'migration')).args).toEqual(compose.services.migrate.command)
    for (const name of SERVICES) {
      expect(containerOf(named('Deployment', name))).not.toHaveProperty('command')
      expect(containerOf(named('Deployment', name))).not.toHaveProperty('args')
    }
    expect(read('services/ops/Dockerfile')).toContain('ENTRYPOINT ["/usr/local/bin/node"')
  })
})

function dockerfileOf(workload: Manifest): string {
  return `services/${containerOf(workload).image.replace('ticket-line/', '')}/Dockerfile`
}

function bytesOf(quantity: string): number {
  const [, number, unit = ''] = /^(\d+)(Ki|Mi|Gi)$/.exec(quantity) ?? []
  return Number(number) * 1024 ** (['Ki', 'Mi', 'Gi'].indexOf(unit) + 1)
}

describe('the objects in deploy/kubernetes that refer to Deployments', () => {
  it('include a disruption budget for each service, so that one pod is evicted at a time', () => {
    const budgets = ofKind('PodDisruptionBudget')
    expect(budgets.map(nameOf).toSorted()).toEqual(SERVICES.toSorted())
    for (const { metadata, spec } of budgets) {
      const deployment = named('Deployment', metadata.name)
      expect(spec.selector.matchLabels).toEqual(deployment.spec.selector.matchLabels)
      expect(spec.maxUnavailable).toBe(1)
    }
  })

  it('include a Service that leads to the API', () => {
    const [service, ...more] = ofKind('Service')
    expect(more).toEqual([])
    expect(service.spec.selector).toEqual(named('Deployment', 'api').spec.selector.matchLabels)
    expect(service.spec.ports[0].targetPort).toBe(
      containerOf(named('Deployment', 'api')).ports[0].name,
    )
    const [ingress] = readManifests(`${FOLDER}/example/ingress.yml`)
    const { service: backend } = ingress.spec.rules[0].http.paths[0].backend
    expect(backend).toEqual({ name: nameOf(service), port: { name: service.spec.ports[0].name } })
  })

  it('include monitoring of each service, with the job names of the alerts and the token', () => {
    const [{ spec }, ...more] = ofKind('PodMonitor')
    expect(more).toEqual([])
    expect(spec.jobLabel).toBe(COMPONENT)
    const [{ key, values }] = spec.selector.matchExpressions
    expect({ key, values }).toEqual({ key: COMPONENT, values: SERVICES })
    const jobs = read('deploy/prometheus/alerts.yml').matchAll(/job="([\w-]+)"/g)
    for (const [, job] of jobs) expect(values).toContain(job)
    const [endpoint] = spec.podMetricsEndpoints
    expect(endpoint).toMatchObject({ port: 'http', path: '/metrics' })
    const { name, key: variable } = endpoint.authorization.credentials
    expect(secrets.get(name)).toEqual([variable])
  })

  it('include autoscaling of the API and the workers, with no fewer processes than the base', () => {
    const scaled = ofKind('ScaledObject')
    expect(scaled.map(nameOf).toSorted()).toEqual(['api', 'booking-worker'])
    for (const { spec } of scaled) {
      const deployment = named('Deployment', spec.scaleTargetRef.name)
      expect(spec.minReplicaCount).toBe(deployment.spec.replicas)
      expect(spec.maxReplicaCount).toBeGreaterThan(spec.minReplicaCount)
    }
  })
})
