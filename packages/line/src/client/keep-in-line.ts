import { defineScript, type LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { linePrefix } from '../keys.js'

/**
 * Resolves to whether Redis has a job. A job that is in none of the lists, because an operator or a
 * fault deleted the list, would never be served. It is put back at the end of its line, with a
 * wake-up.
 */
export type KeepInLine = (lineName: string, jobId: string) => Promise<boolean>

//   KEYS[1] 'wait', KEYS[2] 'active', KEYS[3] 'paused', KEYS[4] 'prioritized', KEYS[5] 'delayed',
//   KEYS[6] 'waiting-children', KEYS[7] 'completed', KEYS[8] 'failed', KEYS[9] data of the job; ARGV[1] its id
//   Returns 0: there is no such job, 1: it is in a list, 2: it was put back.
const KEEP = `local wait, job, id = KEYS[1], KEYS[9], ARGV[1]
if redis.call('EXISTS', job) == 0 then return 0 end
for i = 1, 3 do
  if redis.call('LPOS', KEYS[i], id) then return 1 end
end
for i = 4, 8 do
  if redis.call('ZSCORE', KEYS[i], id) then return 1 end
end
redis.call('LPUSH', wait, id)
return 2`

const LISTS = [
  'wait',
  'active',
  'paused',
  'prioritized',
  'delayed',
  'waiting-children',
  'completed',
  'failed',
]

/** @param note tells the workers that a line has work */
export function createKeepInLine(
  redis: Redis,
  layout: LineLayout,
  note: (lineName: string) => void,
): KeepInLine {
  const keep = defineScript(redis, 'ticketsKeepInLine', LISTS.length + 1, KEEP)
  return async (lineName, jobId) => {
    const base = `${linePrefix(lineName, layout)}:${lineName}:`
    const found = await keep(...LISTS.map((list) => base + list), base + jobId, jobId)
    if (found === 2) note(lineName)
    return found !== 0
  }
}
