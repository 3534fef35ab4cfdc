import { createRedisClaims, escapeGlob } from '@ticket-line/line'
import { ConfigError } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Context } from '../context.js'
import { EXIT, plural, type Report } from '../report.js'

export interface ClaimArguments {
  /** This database takes over the id of the keys, and the commands in them. */
  adopt: boolean
  /** Deletes the keys. */
  discard: boolean
}

/** Keys that one Redis command deletes. */
const KEYS_PER_STEP = 1000

/**
 * Shows to which installation the keys in Redis belong, or takes them over. Exit code 1 if they
 * belong to another one.
 */
export async function claim(context: Context, { adopt, discard }: ClaimArguments): Promise<Report> {
  if (adopt && discard) throw new ConfigError('choose one of --adopt and --discard')
  const redis = await context.anyRedis()
  const store = context.installation()
  if (redis === undefined || store === undefined)
    throw new ConfigError('DATABASE_URL and REDIS_URL are needed')
  const { keyPrefix } = context.layout
  const ours = (await store.readOrCreate(context.layout)).id
  const { installationId: owner, others } = await createRedisClaims(redis, context.layout).look()
  const data = { keyPrefix, ours, owner: owner ?? null, processes: others.length }
  if (owner === undefined || owner === ours) {
    const whose =
      owner === undefined ? 'to nobody yet; the next process claims them' : 'to this installation'
    return {
      exitCode: EXIT.fine,
      data: { ok: true, ...data },
      lines: [`The keys "${keyPrefix}" belong ${whose}.`],
    }
  }
  const lines = [
    `The keys "${keyPrefix}" belong to another installation: ${owner}. This database is ${ours}.`,
  ]
  if (others.length > 0) {
    lines.push(
      `${plural(others.length, 'process')} of it still run: give this installation a KEY_PREFIX of its own.`,
    )
  } else if (adopt) {
    await store.takeId(owner)
    lines.push(
      'This database has taken over the id, and its workers decide the commands in the lines.',
    )
  } else if (discard) {
    lines.push(
      `${plural(await deleteKeys(redis, keyPrefix), 'key')} deleted. The next process claims this Redis.`,
    )
  } else {
    lines.push('See "ops claim --help" for the two ways to take them over.')
  }
  const ok = others.length === 0 && (adopt || discard)
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ok, ...data }, lines }
}

async function deleteKeys(redis: Redis, keyPrefix: string): Promise<number> {
  let deleted = 0
  const match = `${escapeGlob(keyPrefix)}{s*}:*`
  for await (const keys of redis.scanStream({ match, count: KEYS_PER_STEP })) {
    if ((keys as string[]).length > 0) deleted += await redis.unlink(...(keys as string[]))
  }
  return deleted
}
