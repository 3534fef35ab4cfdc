import type { SuiteResults } from '../suite.ts'
export function writeReport(_results: SuiteResults, _machine: { cores: string; servers: string }): void {}
