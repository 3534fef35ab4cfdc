import type { CheckResult } from '@ticket-line/db'
import {
  createRedisClaims,
  escapeGlob,
  isLineName,
  layoutDifference,
  linePrefix,
} from '@ticket-line/line'
import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Context } from './context.js'

/** The key of a list of jobs, such as `<prefix>{s0}:event-7:wait`. */
const LINE_LIST = /\{s\d+\}:((?:event|line)-\d+):(?:wait|active|paused|prioritized|delayed)$/

/**
 * Checks that PostgreSQL, Redis, the settings and the keys belong together.
 *
 * @returns nothing if no setting says where Redis is, or if no process has ever started
 */
export async function checkInstallation(
  context: Context,
  exampleLimit: number,
): Promise<CheckResult[]> {
  const redis = await context.anyRedis()
  const record = await context.installation()?.read()
  if (redis === undefined || record === undefined) return []
  const recorded = { keyPrefix: record.keyPrefix, lines: record.sharedLines, shards: record.shards }
  const results: CheckResult[] = []
  async function check(name: string, promise: string, find: () => Promise<string[]> | string[]) {
    const startedAtMs = context.now()
    const found = await find()
    results.push({
      name,
      promise,
      broken: found.length,
      examples: found.slice(0, exampleLimit).map((detail) => ({ eventId: 0, detail })),
      tookMs: context.now() - startedAtMs,
    })
  }
  await check(
    'same_installation',
    'Redis belongs to the installation of this database',
    async () => {
      const { installationId, redisId } = await createRedisClaims(redis, recorded).read()
      // A Redis without keys is claimed by the next process that starts.
      if (installationId === undefined) return []
      if (installationId !== record.id) {
        return [`Redis belongs to ${installationId}, and the database is ${record.id}`]
      }
      if (redisId === record.redisId) return []
      return [
        `the processes use the Redis ${record.redisId ?? 'without an id'}, and this one is ${redisId}`,
      ]
    },
  )
  await check('same_layout', 'the settings give the recorded layout of the lines', () => {
    const difference = layoutDifference(context.layout, record)
    return difference === undefined ? [] : [difference]
  })
  await check('lines_known', 'no command is in a line outside of the layout', () =>
    findUnknownLines(redis, recorded),
  )
  return results
}

/** Finds jobs in lines that are not part of the layout. @returns a sentence about each list */
export async function findUnknownLines(redis: Redis, layout: LineLayout): Promise<string[]> {
  const unknown = new Set<string>()
  const match = `${escapeGlob(layout.keyPrefix)}{s*}:*`
  for await (const keys of redis.scanStream({ match, count: 1000 })) {
    for (const key of keys as string[]) {
      const lineName = LINE_LIST.exec(key)?.[1]
      if (lineName === undefined || isKnown(key, lineName, layout)) continue
      unknown.add(`${key} contains jobs, and no process serves that line`)
    }
  }
  return [...unknown]
}

function isKnown(key: string, lineName: string, layout: LineLayout): boolean {
  return isLineName(lineName, layout) && key.startsWith(`${linePrefix(lineName, layout)}:`)
}
