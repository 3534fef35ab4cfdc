import type { WebhookLag } from '@ticket-line/db'
import { METRIC_PREFIX } from '@ticket-line/telemetry'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { SendOutcome } from './send.js'

const RESULTS = [
  'delivered',
  'refused',
  'timeout',
  'unreachable',
  'not_allowed',
  'aborted',
] as const
const REASONS = ['gone', 'failing', 'user'] as const

/** The metrics of a notifier process. `docs/operations.md` lists their names and meanings. */
export interface NotifierMetrics {
  /** Called after every request. */
  sent(outcome: SendOutcome): void
  /** Called with the time from the decision of a change to the answer of the endpoint, ms. */
  delivered(lagMs: number): void
  disabled(reason: 'gone' | 'failing'): void
  parked(): void
  lag(lag: WebhookLag): void
}

export function createMetrics(
  registry: Registry,
  read: { disabled: () => Map<string, number>; requests: () => number },
): NotifierMetrics {
  const registers = [registry]
  const attempts = new Counter({
    name: `${METRIC_PREFIX}webhook_attempts_total`,
    help: 'Requests to endpoints, by result: delivered; refused (a status other than 2xx); timeout; unreachable; not_allowed (the address is not public); aborted (the notifier was stopped).',
    labelNames: ['result'],
    registers,
  })
  for (const result of RESULTS) attempts.inc({ result }, 0)
  const delivered = new Histogram({
    name: `${METRIC_PREFIX}webhook_delivery_seconds`,
    help: 'Time from the decision of a change to the answer of the endpoint.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 21_600, 86_400],
    registers,
  })
  const disabled = new Counter({
    name: `${METRIC_PREFIX}webhook_disabled_total`,
    help: 'Endpoints that this process disabled: they answered 410, or all attempts failed for five days.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of ['gone', 'failing']) disabled.inc({ reason }, 0)
  const parked = new Counter({
    name: `${METRIC_PREFIX}webhook_parked_total`,
    help: 'Requests that were given up after three days of failures.',
    registers,
  })
  const lagChanges = new Gauge({
    name: `${METRIC_PREFIX}webhook_lag_changes`,
    help: 'Changes that enabled endpoints have yet to receive.',
    registers,
  })
  const lagSeconds = new Gauge({
    name: `${METRIC_PREFIX}webhook_lag_seconds`,
    help: 'Age of the oldest change that was not yet sent to an endpoint that answers.',
    registers,
  })
  new Gauge({
    name: `${METRIC_PREFIX}webhooks_disabled`,
    help: 'Disabled endpoints, by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      const counts = read.disabled()
      for (const reason of REASONS) this.set({ reason }, counts.get(reason) ?? 0)
    },
  })
  new Gauge({
    name: `${METRIC_PREFIX}webhook_requests`,
    help: 'Requests to endpoints that are under way in this process.',
    registers,
    collect() {
      this.set(read.requests())
    },
  })
  return {
    sent: (outcome) => attempts.inc({ result: resultOf(outcome) }),
    delivered: (lagMs) => delivered.observe(Math.max(lagMs, 0) / 1000),
    disabled: (reason) => disabled.inc({ reason }),
    parked: () => parked.inc(),
    lag({ changes, seconds }) {
      lagChanges.set(changes)
      lagSeconds.set(seconds)
    },
  }
}

function resultOf({ kind, status, error }: SendOutcome): (typeof RESULTS)[number] {
  if (kind !== 'failed') return kind
  if (status !== null) return 'refused'
  if (error === 'timeout') return 'timeout'
  return error === 'address_not_allowed' ? 'not_allowed' : 'unreachable'
}
