import { VERSION } from '@ticket-line/shared'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** Prefix of all metrics of this product. */
export const METRIC_PREFIX = 'ticket_line_'

/**
 * Interval at which the lag of the event loop is measured, ms. The default of prom-client is 10 ms,
 * which takes 1 % of a core in an idle process.
 */
const LAG_PRECISION_MS = 100

/**
 * Creates a registry with the metrics of all processes: memory, CPU, event loop lag, build.
 *
 * @param commit the commit of the build, if it is known
 */
export function createRegistry(service: string, commit = 'unknown'): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS })
  new Gauge({
    name: `${METRIC_PREFIX}build_info`,
    help: 'Always 1, labeled with the service, its version, its commit and the version of Node.',
    labelNames: ['service', 'version', 'commit', 'node'],
    registers: [registry],
  }).set({ service, version: VERSION, commit, node: process.versions.node }, 1)
  return registry
}
