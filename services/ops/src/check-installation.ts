import type { CheckResult } from '@ticket-line/db'
import { createRedisOwnership, layoutDifference } from '@ticket-line/line'
import {
  findLostAccepted,
  findUnknownAcceptedLines,
  findUnknownLines,
} from '@ticket-line/line/inspect'
import type { Context } from './context.js'

/**
 * Checks that PostgreSQL, Redis, the settings and the keys belong together.
 *
 * @returns no results if no setting says where Redis is, or if no process has ever started
 */
export async function checkInstallation(
  context: Context,
  exampleLimit: number,
): Promise<CheckResult[]> {
  const redis = await context.anyRedis()
  const record = await context.installation()?.read()
  if (redis === undefined || record === undefined) return []
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
      const { installationId, redisId } = await createRedisOwnership(redis.first, record).read()
      // Redis has no owner yet. The next process that starts makes its installation the owner.
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
  await check(
    'accepted_kept',
    'each accepted command is decided, or its job is in its line',
    async () => {
      const lost = await findLostAccepted(redis, context.pool(), record)
      return lost.map(({ jobId, isMalformed }) => {
        const detail = `${jobId} is neither decided nor in its line`
        return isMalformed ? `${detail}, and its record is malformed` : detail
      })
    },
  )
  await check('lines_known', 'no command is in a line outside of the layout', async () => {
    const accepted = await findUnknownAcceptedLines(context.pool(), record)
    return [
      ...(await findUnknownLines(await context.masters(), record)),
      ...accepted.map((lineName) => `jobs of ${lineName} are accepted, and no process serves it`),
    ]
  })
  return results
}
