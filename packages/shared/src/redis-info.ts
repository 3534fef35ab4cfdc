import type { Redis } from 'ioredis'

/** Reads the reply of `INFO`: values by the names of their fields. */
export function parseRedisInfo(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => /^\w+:/.test(line))
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

/** How full Redis is: 1 is its `maxmemory`. 0 if Redis has no bound or does not show it. */
export async function readFullness(redis: Pick<Redis, 'info'>): Promise<number> {
  const info = parseRedisInfo(await redis.info('memory'))
  const max = Number(info.get('maxmemory') ?? 0)
  return max === 0 ? 0 : Number(info.get('used_memory') ?? 0) / max
}
