import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  COMPONENT,
  compose,
  inCompose,
  type Manifest,
  named,
  nameOf,
  ofKind,
  PART_OF,
  page,
  read,
  SERVICES,
} from './manifests.ts'

describe('the network policies in deploy/kubernetes', () => {
  const everything = [...SERVICES, 'migration', 'ops']

  /** The components that a policy selects. */
  function selected({ spec }: Manifest): string[] {
    const { matchLabels, matchExpressions = [] } = spec.podSelector
    expect(matchLabels[PART_OF]).toBe('ticket-line')
    const label = matchLabels[COMPONENT]
    const [expression] = matchExpressions
    if (expression === undefined) return label === undefined ? everything : [label]
    expect(expression).toMatchObject({ key: COMPONENT, operator: 'In' })
    return expression.values
  }

  /** What the policies allow, as `component → name of the policy`, or the other way around. */
  const flows = ofKind('NetworkPolicy').flatMap((policy) =>
    selected(policy).flatMap((component) => [
      ...(policy.spec.ingress ?? []).map(() => `${nameOf(policy)} → ${component}`),
      ...(policy.spec.egress ?? []).map(() => `${component} → ${nameOf(policy)}`),
    ]),
  )

  it('deny what no policy allows', () => {
    const policy = named('NetworkPolicy', 'nothing-by-default')
    expect(selected(policy)).toEqual(everything)
    expect(policy.spec.policyTypes).toEqual(['Ingress', 'Egress'])
    expect(policy.spec.ingress ?? policy.spec.egress).toBeUndefined()
  })

  it('allow exactly the flows that the networks of Compose allow', () => {
    const networksOf = (component: string): string[] =>
      inCompose({ metadata: { name: component } }).networks
    expect(compose.networks.back.internal).toBe(true)
    const expected = everything.flatMap((component) => {
      const { environment } = inCompose({ metadata: { name: component } })
      const needsRedis = component !== 'migration' && environment.REDIS_HOST !== undefined
      return [
        `${component} → to-dns`,
        `${component} → to-postgres`,
        ...(needsRedis ? [`${component} → to-redis`] : []),
        // The internal network leads nowhere else.
        ...(networksOf(component).includes('front') ? [`${component} → to-internet`] : []),
      ]
    })
    const scraped = read('deploy/prometheus/prometheus.yml').matchAll(/names: \[([\w-]+)\]/g)
    expected.push(...[...scraped].map(([, name]) => `reads-metrics → ${name}`))
    // In Compose, only the proxy is in a network with the API and reachable from outside.
    expect(compose.services.proxy.networks).toEqual(['front'])
    expected.push('calls-api → api')
    // These two send traces.
    expected.push('api → to-collector', 'booking-worker → to-collector')
    expect(flows.toSorted()).toEqual(expected.toSorted())
  })

  it('open only the ports of the servers and processes', () => {
    const portsOf = (name: string): unknown[] => {
      const { ingress = [], egress = [] } = named('NetworkPolicy', name).spec
      return [...ingress, ...egress].flatMap(({ ports = [] }) =>
        ports.map(({ port }: Manifest) => port),
      )
    }
    expect(portsOf('to-postgres')).toEqual([5432])
    expect(portsOf('to-redis')).toEqual([6379])
    expect(portsOf('to-dns')).toEqual([53, 53])
    expect(portsOf('calls-api')).toEqual(['http'])
    expect(portsOf('reads-metrics')).toEqual(['http'])
    const collector = parse(read('deploy/otel/config.yml')).receivers.otlp.protocols.http.endpoint
    expect(portsOf('to-collector')).toEqual([Number(collector.split(':').at(-1))])
  })

  it('leave private addresses out of what they call the internet', () => {
    const [{ to }] = named('NetworkPolicy', 'to-internet').spec.egress
    const [{ ipBlock }] = to
    for (const network of ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'])
      expect(ipBlock.except).toContain(network)
    // Global unicast addresses only.
    expect(to[1]).toEqual({ ipBlock: { cidr: '2000::/3' } })
  })

  it('select namespaces by the labels that the documentation tells you to set', () => {
    for (const name of ['calls-api', 'reads-metrics']) {
      const [{ from }] = named('NetworkPolicy', name).spec.ingress
      expect(from).toEqual([
        { namespaceSelector: { matchLabels: { [`ticket-line/${name}`]: 'true' } } },
      ])
      expect(page).toContain(`ticket-line/${name}=true`)
    }
  })
})
