import type { Redis } from 'ioredis'

/** Calls of one Redis command and the time it took. */
export interface CommandUse {
  calls: number
  usec: number
}

/** CPU time of Redis so far, ms, from INFO, so that it works for a Redis in a container, too. */
export async function redisCpuMs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu')
  const seconds = [
    'used_cpu_user',
    'used_cpu_sys',
    'used_cpu_user_children',
    'used_cpu_sys_children',
  ]
    .map((name) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1] ?? 0))
    .reduce((sum, value) => sum + value, 0)
  return seconds * 1000
}

export async function redisMemoryMb(redis: Redis): Promise<number> {
  return Number(/^used_memory_rss:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0) / 2 ** 20
}

/** Commands since the server started or its statistics were reset, those of scripts included. */
export async function redisCommands(redis: Redis): Promise<Map<string, CommandUse>> {
  const info = await redis.info('commandstats')
  const uses = new Map<string, CommandUse>()
  for (const [, name, calls, usec] of info.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    uses.set(name as string, { calls: Number(calls), usec: Number(usec) })
  }
  return uses
}

/** The difference between two readings. */
export function commandsBetween(
  before: Map<string, CommandUse>,
  after: Map<string, CommandUse>,
): Map<string, CommandUse> {
  const spent = new Map<string, CommandUse>()
  for (const [name, use] of after) {
    const earlier = before.get(name) ?? { calls: 0, usec: 0 }
    const calls = use.calls - earlier.calls
    if (calls > 0) spent.set(name, { calls, usec: use.usec - earlier.usec })
  }
  return spent
}
