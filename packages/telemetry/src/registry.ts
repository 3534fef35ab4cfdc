import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** What every metric of this product begins with. */
export const METRIC_PREFIX = 'ticket_line_'

/** A registry with what every process shows: memory, CPU, event loop lag, and which build it is. */
export function createRegistry(service: string, version: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: `${METRIC_PREFIX}build_info`,
    help: 'Always 1; which service, build and Node this is.',
    labelNames: ['service', 'version', 'node'],
    registers: [registry],
  }).set({ service, version, node: process.versions.node }, 1)
  return registry
}
