import { createRedisOwnership, installationKeysPattern } from '@ticket-line/line'
import { ConfigError, plural } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Arguments } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'

export const claim: Command = {
  name: 'claim',
  summary: 'show which installation the keys in Redis belong to, or take them over',
  usage: `claim [--adopt | --discard] [--json]

Shows which installation the keys with KEY_PREFIX in Redis belong to. The two options are
needed only if it is not the installation of this database. The next process that starts
takes a Redis without keys.

  --adopt          take the keys over: this database was restored from a backup that is
                   older than its installation id. Its workers then decide the commands.
  --discard        delete the keys and with them the undecided commands: the other
                   installation no longer exists

Exit code 1: the keys belong to another installation, or its processes still run.`,
  options: { adopt: { type: 'boolean' }, discard: { type: 'boolean' } },
  run: showClaim,
}

/** How many keys one Redis command deletes. */
const KEYS_PER_STEP = 1000

async function showClaim(context: Context, args: Arguments): Promise<Report> {
  const adopt = args.flag('adopt')
  const discard = args.flag('discard')
  if (adopt && discard) throw new ConfigError('choose one of --adopt and --discard')
  const redis = await context.anyRedis()
  const store = context.installation()
  if (redis === undefined || store === undefined)
    throw new ConfigError('this command needs settings that name PostgreSQL and Redis')
  const { keyPrefix } = context.layout
  const ours = (await store.readOrCreate(context.layout)).id
  const ownership = createRedisOwnership(redis.first, context.layout)
  const { installationId: owner, others } = await ownership.read()
  const data = { keyPrefix, ours, owner: owner ?? null, processes: others.length }
  if (owner === undefined || owner === ours) {
    const state =
      owner === undefined
        ? 'have no owner yet; the next process that starts takes them'
        : 'belong to this installation'
    return {
      exitCode: EXIT.fine,
      data: { ok: true, ...data },
      text: [`The keys "${keyPrefix}" ${state}.`],
    }
  }
  const text = [
    `The keys "${keyPrefix}" belong to another installation: ${owner}. This database is ${ours}.`,
  ]
  if (others.length > 0) {
    text.push(
      `${plural(others.length, 'process')} of it still run. Give this installation its own KEY_PREFIX.`,
    )
  } else if (adopt) {
    await store.takeId(owner)
    text.push('This database has taken over the id. Its workers decide the commands in the lines.')
  } else if (discard) {
    const deleted = plural(await deleteKeys(await context.masters(), keyPrefix), 'key')
    text.push(`${deleted} deleted. The next process that starts takes this Redis.`)
  } else {
    text.push('"npm run ops -- claim --help" explains the two ways to take them over.')
  }
  const ok = others.length === 0 && (adopt || discard)
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ok, ...data }, text }
}

async function deleteKeys(masters: readonly Redis[], keyPrefix: string): Promise<number> {
  let deleted = 0
  const match = installationKeysPattern(keyPrefix)
  for (const redis of masters) {
    for await (const keys of redis.scanStream({ match, count: KEYS_PER_STEP })) {
      // In a cluster, a command may name keys of one shard only.
      const shards = Map.groupBy(keys as string[], (key) => key.slice(0, key.indexOf('}')))
      for (const ofShard of shards.values()) deleted += await redis.unlink(...ofShard)
    }
  }
  return deleted
}
