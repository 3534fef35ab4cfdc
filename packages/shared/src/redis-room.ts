import type { Redis } from 'ioredis'

/** How full Redis is: 1 is its `maxmemory`. 0 if it has no bound or does not tell. */
export async function readFullness(redis: Pick<Redis, 'info'>): Promise<number> {
  const info = await redis.info('memory')
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  const max = field('maxmemory')
  return max === 0 ? 0 : field('used_memory') / max
}
