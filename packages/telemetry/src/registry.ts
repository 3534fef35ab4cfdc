import { VERSION } from '@ticket-line/shared'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** What every metric of this product begins with. */
export const METRIC_PREFIX = 'ticket_line_'

/** The lag is looked at this often. prom-client's own 10 ms wake a process without work so often that it takes 1 % of a core. */
const LAG_PRECISION_MS = 100

/** A registry with what every process shows: memory, CPU, event loop lag, and what it is. */
export function createRegistry(service: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS })
  new Gauge({
    name: `${METRIC_PREFIX}build_info`,
    help: 'Always 1; which service, version and Node this is.',
    labelNames: ['service', 'version', 'node'],
    registers: [registry],
  }).set({ service, version: VERSION, node: process.versions.node }, 1)
  return registry
}
