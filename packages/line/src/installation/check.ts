import type { InstallationRecord } from '@ticket-line/db'
import { ConfigError, type LineLayout, sleep } from '@ticket-line/shared'
import { ALIVE_MS, CHECK_EVERY_MS, READ_AGAIN_MS, type RedisOwnership } from './ownership.js'

/** Describes how a layout differs from the recorded one; undefined if it does not. */
export function layoutDifference(layout: LineLayout, recorded: LineLayout): string | undefined {
  const settings: [name: string, here: string | number, recorded: string | number][] = [
    ['KEY_PREFIX', layout.keyPrefix, recorded.keyPrefix],
    ['SHARED_LINES', layout.sharedLines, recorded.sharedLines],
    ['SHARDS', layout.shards, recorded.shards],
  ]
  const different = settings.filter(([, here, there]) => here !== there)
  if (different.length === 0) return undefined
  const described = different.map(
    ([name, here, there]) => `${name} is ${here} here and ${there} there`,
  )
  return (
    `this process would use other lines than its installation: ${described.join(', ')}. ` +
    'All processes need the same values; to change them, see "Changing the layout" in docs/operations.md'
  )
}

/** The message for a Redis that belongs to another installation. */
export function foreignRedis(keyPrefix: string, redisOwner: string, ours: string): string {
  return (
    `the keys "${keyPrefix}" in this Redis belong to another installation (${redisOwner}; this database is ${ours}): ` +
    'give each installation a KEY_PREFIX of its own. If the other one is gone, see "ops claim"'
  )
}

export const OTHER_REDIS =
  'other processes of this installation use another Redis: the settings must lead all of them to the same one'
export const OTHER_DATABASE =
  'a process with another database of the same installation, such as a copy, uses these keys in Redis: ' +
  'give the copy a KEY_PREFIX of its own, and remove its row of "installation"'

/**
 * Checks that a Redis and a layout are those of the installation, for a tool that only reads.
 *
 * @param record what PostgreSQL records; undefined if no process has ever started
 * @throws ConfigError with a message for the operator
 */
export async function assertSameInstallation(
  record: InstallationRecord | undefined,
  layout: LineLayout,
  ownership: Pick<RedisOwnership, 'read'>,
): Promise<void> {
  if (record === undefined) return
  const difference = layoutDifference(layout, record)
  if (difference !== undefined) throw new ConfigError(difference)
  let owner = await ownership.read()
  // If Redis was flushed a moment ago, a running process takes it again at its next check.
  const isInUse = isRedisInUse(record)
  for (let waitedMs = 0; isInUse && owner.installationId === undefined; waitedMs += READ_AGAIN_MS) {
    if (waitedMs > CHECK_EVERY_MS + 4 * READ_AGAIN_MS) throw new ConfigError(OTHER_REDIS)
    await sleep(READ_AGAIN_MS)
    owner = await ownership.read()
  }
  if (owner.installationId !== undefined && owner.installationId !== record.id) {
    throw new ConfigError(foreignRedis(layout.keyPrefix, owner.installationId, record.id))
  }
}

/** True if a process used the recorded Redis a moment ago. */
export function isRedisInUse({ redisSeenMsAgo }: InstallationRecord): boolean {
  return redisSeenMsAgo !== null && redisSeenMsAgo <= ALIVE_MS
}
