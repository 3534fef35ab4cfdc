import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/**
 * Keeps this process, and so all it starts, on the first cores: the figures are those of a small machine wherever they
 * are taken.
 * @returns what was done, in words
 */
export function pinToCores(wanted: number): string {
  const available = availableParallelism()
  if (available <= wanted) return `${available} cores`
  const list = `0-${wanted - 1}`
  const { status } = spawnSync('taskset', [
    '--all-tasks',
    '--cpu-list',
    '--pid',
    list,
    String(process.pid),
  ])
  return status === 0
    ? `${wanted} of ${available} cores`
    : `${available} cores (taskset is missing)`
}
