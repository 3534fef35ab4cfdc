import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/**
 * Pins this process, and with it all processes that it starts, to the first cores. Results of
 * different machines can then be compared.
 *
 * @returns what it did, in words
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
