import { isAcknowledged } from './check/answers.ts'
import type { Broken, Finding } from './check/finding.ts'
import type { History } from './history.ts'
import type { RedisLoss } from './injection/redis-losses.ts'

/** The last line that a run prints. */
export interface Summary extends Record<Broken, number> {
  seed: number
  seconds: number
  faults: number
  /** How often Redis lost data. `describeLosses` says how. */
  losses: number
  requests: number
  acks: number
  slowestAckMs: number
}

export function summarize(run: {
  seed: number
  seconds: number
  faults: number
  losses: RedisLoss[]
  history: History
  findings: Finding[]
}): Summary {
  const { seed, seconds, faults, losses, history, findings } = run
  const acked = history.commands.filter((call) => isAcknowledged(call.answer))
  const count = (broken: Broken): number =>
    findings.filter((finding) => finding.promise === broken).length
  return {
    seed,
    seconds,
    faults,
    losses: losses.length,
    requests: history.commands.length,
    acks: acked.length,
    lost: count('lost'),
    doubled: count('doubled'),
    oversold: count('oversold'),
    reordered: count('reordered'),
    wrongAnswers: count('wrongAnswers'),
    slowestAckMs: Math.round(
      acked.reduce((most, call) => Math.max(most, call.endedAtMs - call.sentAtMs), 0),
    ),
  }
}

/** Counts how the requests ended: by status and code, or by the kind of failure. */
export function describeEndings({ commands }: History): string {
  const counts = new Map<string, number>()
  for (const { answer, failure } of commands) {
    const name =
      answer === undefined
        ? `${failure}`
        : `${answer.status} ${answer.body?.code ?? answer.body?.message}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  return sorted.map(([name, count]) => `${count} × ${name}`).join(', ')
}

const LOSS_NAMES: Record<RedisLoss['kind'], string> = {
  flush: 'flushed',
  'deleted-files': 'killed and its files deleted',
  'no-persistence': 'restarted without persistence',
  killed: 'killed',
  'lagging-replica': 'replaced by a replica that lagged',
  'killed-master': 'replaced after its master was killed',
  'frozen-master': 'replaced while its master was frozen',
  'ordered-failover': 'replaced by an ordered failover',
}

/** Says how often Redis lost data in each way. */
export function describeLosses(losses: RedisLoss[]): string {
  const counts = [...Map.groupBy(losses, ({ kind }) => kind)].map(
    ([kind, ofKind]) => `${ofKind.length} × ${LOSS_NAMES[kind]}`,
  )
  return `Redis lost data ${losses.length} times: ${counts.join(', ')}`
}
