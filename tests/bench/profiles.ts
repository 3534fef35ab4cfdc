import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** The parts of a V8 CPU profile that are read here. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}

const FUNCTIONS_SHOWN = 25
/** A sample that comes later than this was late because the process had no core; the profiler takes one a millisecond. */
const LONGEST_SAMPLE_US = 2000
/** What the profiler shows where nothing runs. */
const IDLE = '(idle)'

/** For each profile in a folder, the functions that took most time themselves, as shares of the time not idle. */
export function summarizeProfiles(folder: string): string {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => {
      const profile = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as CpuProfile
      return `${name}\n${topFunctions(profile).join('\n')}`
    })
    .join('\n\n')
}

function topFunctions({ nodes, samples, timeDeltas }: CpuProfile): string[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const self = new Map<string, number>()
  let busyUs = 0
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? ''
    if (name === IDLE) continue
    const us = Math.min(timeDeltas[i] ?? 0, LONGEST_SAMPLE_US)
    busyUs += us
    self.set(name, (self.get(name) ?? 0) + us)
  }
  const top = [...self].sort((a, b) => b[1] - a[1]).slice(0, FUNCTIONS_SHOWN)
  return [
    `  busy ${(busyUs / 1000).toFixed(0)} ms`,
    ...top.map(([name, us]) => `  ${((us / busyUs) * 100).toFixed(1).padStart(5)} %  ${name}`),
  ]
}

function nameOf({
  functionName,
  url,
  lineNumber,
}: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  // From the package on: where it is installed says nothing.
  const short = url.replace(/^.*\/node_modules\//, '').replace(/^.*\/(packages|services)\//, '$1/')
  return `${name} ${short}:${lineNumber + 1}`
}
