import type { RedisKind } from '../../stack/redis/deployment.ts'
import type { Finding } from '../check/finding.ts'

export interface ScenarioOptions {
  seed: number
  /** 1 runs as much as the documentation reports; less is quicker and proves less. */
  scale: number
  /** Called with each line of progress. */
  log: (line: string) => void
}

export interface ScenarioResult {
  /** Measurements by name. */
  figures: Record<string, number | string>
  /** Bounds that were exceeded, in words. */
  missed: string[]
  /** Broken promises that the checker found. */
  findings: Finding[]
}

/** One kind of fault, with the bounds that the system must keep while it lasts. */
export interface Scenario {
  name: string
  /** What a successful run proves, in one sentence. */
  proves: string
  /** The kinds of Redis on which it runs. Default: those with one server. */
  redisKinds?: readonly RedisKind[]
  run(options: ScenarioOptions): Promise<ScenarioResult>
}

const WITH_ONE_SERVER: readonly RedisKind[] = ['single', 'valkey']

export const worksOn = (scenario: Scenario, kind: RedisKind): boolean =>
  (scenario.redisKinds ?? WITH_ONE_SERVER).includes(kind)

export const isGood = ({ missed, findings }: ScenarioResult): boolean =>
  missed.length === 0 && findings.length === 0

/** @returns the smallest value that a share of all values does not exceed */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** Rounded percentiles of durations in milliseconds. */
export function spreadOf(values: number[]): { p50: number; p99: number; most: number } {
  const at = (share: number): number => Math.round(percentile(values, share))
  return { p50: at(0.5), p99: at(0.99), most: at(1) }
}

/** @returns a sentence for `missed` if the value exceeds its bound */
export function atMost(what: string, measured: number, bound: number): string[] {
  return measured <= bound ? [] : [`${what}: ${measured}, at most ${bound} allowed`]
}
