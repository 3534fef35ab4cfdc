import { isAcknowledged } from './check/answers.ts'
import type { Broken, Finding } from './check/finding.ts'
import type { History } from './history.ts'

/** The last line that a run prints. */
export interface Summary extends Record<Broken, number> {
  seed: number
  seconds: number
  faults: number
  requests: number
  acks: number
  slowestAckMs: number
}

export function summarize(run: {
  seed: number
  seconds: number
  faults: number
  history: History
  findings: Finding[]
}): Summary {
  const { seed, seconds, faults, history, findings } = run
  const acked = history.commands.filter((call) => isAcknowledged(call.answer))
  const count = (broken: Broken): number =>
    findings.filter((finding) => finding.promise === broken).length
  return {
    seed,
    seconds,
    faults,
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
