import { Redis } from 'ioredis'
import type { Server } from '../../stack/servers.ts'

/** When Redis flushes its append-only file to disk. */
export const APPENDFSYNC = ['always', 'everysec'] as const
export type Appendfsync = (typeof APPENDFSYNC)[number]

/** What `npm start` and Compose use. */
export const USUAL_APPENDFSYNC = 'everysec'

/** Changes the setting of the benchmark's Redis. A Redis that was given by URL keeps its own. */
export async function setAppendfsync({ ours, url }: Server, when: Appendfsync): Promise<void> {
  if (!ours) return
  const redis = new Redis(url)
  try {
    await redis.config('SET', 'appendfsync', when)
  } finally {
    redis.disconnect()
  }
}
