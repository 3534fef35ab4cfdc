import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** The parts of a V8 CPU profile that this file reads. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  timeDeltas: number[]
}

const FUNCTIONS_SHOWN = 25
/**
 * The profiler takes a sample every millisecond. A longer gap means that the process had no core,
 * so only this much of it counts, µs.
 */
const LONGEST_SAMPLE_US = 2000
/** Name of the profiler's node for an idle process. */
const IDLE = '(idle)'

/**
 * Lists, for each profile in a folder, the functions with the most self time, as shares of the busy
 * time.
 */
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
  // Leave out the path up to the package.
  const short = url.replace(/^.*\/node_modules\//, '').replace(/^.*\/(packages|services)\//, '$1/')
  return `${name} ${short}:${lineNumber + 1}`
}
