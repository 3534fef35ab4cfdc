import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { shardPrefixes } from '../keys.js'
import { escapeGlob } from '../registry.js'

/** What stands in Redis under the keys of this installation. */
export interface ScannedKeys {
  /** Lines that have any key. */
  lineNames: Set<string>
  /** Jobs whose data is there, with their line: more than those that stand in a list, if something went wrong. */
  jobs: { lineName: string; jobId: string }[]
}

const lineKey = /^((?:event|line)-\d+):(.+)$/
const jobId = /^(?:event|line)-\d+\.[0-9a-z]{21}\.\d+$/

/**
 * Walks through all keys of the installation (`SCAN`, which blocks nobody): the registry of lines is Redis data like
 * the rest, and what is looked for here is what went missing.
 */
export async function scanKeys(redis: Redis, layout: LineLayout): Promise<ScannedKeys> {
  const found: ScannedKeys = { lineNames: new Set(), jobs: [] }
  for (const prefix of shardPrefixes(layout)) {
    for await (const keys of redis.scanStream({ match: `${escapeGlob(prefix)}:*`, count: 1000 })) {
      for (const key of keys as string[]) {
        const match = lineKey.exec(key.slice(prefix.length + 1))
        if (match === null) continue
        const [, lineName, rest] = match as unknown as [string, string, string]
        found.lineNames.add(lineName)
        if (jobId.test(rest)) found.jobs.push({ lineName, jobId: rest })
      }
    }
  }
  return found
}
