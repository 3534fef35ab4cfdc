import type { Redis } from 'ioredis'
import { fromRoot, readText } from '../../../tools/dev-stack/files.mjs'
import { withRedis } from './connection.ts'

/** A user of Redis with the rules of `deploy/redis/ticket-line.acl`. */
export interface RestrictedUser {
  /** The address of the same Redis with this user. */
  url: string
  /** What Redis has forbidden the user so far, from `ACL LOG`. */
  denials(): Promise<string[]>
  remove(): Promise<void>
}

/** Redis 7.0 lacks this command, so no rule can allow it there. Clients do without it. */
const UNKNOWN_TO_REDIS_7_0 = 'command: client|setinfo'

/** @returns the rules for an installation with this key prefix */
export function rulesFor(keyPrefix: string): string[] {
  const lines = readText(fromRoot('deploy/redis/ticket-line.acl')).split('\n')
  const rules = lines.filter((line) => !line.startsWith('#')).join(' ')
  return rules.replaceAll('tickets{', `${keyPrefix}{`).trim().split(/\s+/)
}

/** Creates the user as docs/operations.md describes it. */
export async function createRestrictedUser(
  redisUrl: string,
  keyPrefix: string,
): Promise<RestrictedUser> {
  const name = `services-of-${keyPrefix}`
  const withAdmin = <T>(work: (redis: Redis) => Promise<T>) => withRedis(redisUrl, work)
  await withAdmin((redis) =>
    redis.call('ACL', 'SETUSER', name, 'reset', 'on', '>secret', ...rulesFor(keyPrefix)),
  )
  const url = new URL(redisUrl)
  url.username = name
  url.password = 'secret'
  return {
    url: url.toString(),
    denials: () =>
      withAdmin(async (redis) => {
        const entries = (await redis.call('ACL', 'LOG', 1000)) as string[][]
        const own = entries
          .map((entry) => new Map(pairsOf(entry)))
          .filter((entry) => entry.get('username') === name)
          .map((entry) => `${entry.get('reason')}: ${entry.get('object')}`)
        return own.filter((denial) => denial !== UNKNOWN_TO_REDIS_7_0)
      }),
    remove: () => withAdmin(async (redis) => void (await redis.call('ACL', 'DELUSER', name))),
  }
}

function pairsOf(reply: string[]): [string, string][] {
  return Array.from({ length: reply.length / 2 }, (_, i) => [
    String(reply[2 * i]),
    String(reply[2 * i + 1]),
  ])
}
