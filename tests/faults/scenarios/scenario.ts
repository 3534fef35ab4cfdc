import type { Finding } from '../check/finding.ts'
import type { Patch } from '../fleet/build-copy.ts'

export interface ScenarioOptions {
  seed: number
  /** 1 runs as much as the figures in the documentation; less is quicker and proves less. */
  scale: number
  /** Changes to the build that is run. */
  patches?: Patch[]
  say: (line: string) => void
}

export interface ScenarioResult {
  /** What was measured, in words that need no legend. */
  figures: Record<string, number | string>
  /** Bounds that were not kept; empty when all is well. */
  missed: string[]
  /** Broken promises that the checker found. */
  findings: Finding[]
}

/** One promise under one kind of fault, with the figure it must reach. */
export interface Scenario {
  name: string
  /** What it shows, in a line. */
  shows: string
  run(options: ScenarioOptions): Promise<ScenarioResult>
}

export const isGood = ({ missed, findings }: ScenarioResult): boolean =>
  missed.length === 0 && findings.length === 0

/** The smallest value that `share` of all values do not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** Rounded figures of a list of durations, ms. */
export function spreadOf(values: number[]): { p50: number; p99: number; most: number } {
  const at = (share: number): number => Math.round(percentile(values, share))
  return { p50: at(0.5), p99: at(0.99), most: at(1) }
}

/** A bound and what was measured against it. */
export function atMost(what: string, measured: number, bound: number): string[] {
  return measured <= bound ? [] : [`${what}: ${measured} instead of at most ${bound}`]
}
