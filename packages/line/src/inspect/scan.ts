import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import {
  installationKeysPattern,
  isLineName,
  isUnfinishedList,
  KEYS_PER_SCAN,
  linePrefix,
  parseAnyLineKey,
  parseLineKey,
  shardKeysPattern,
  shardPrefixes,
} from '../keys.js'
import type { LineRedis } from '../line-redis.js'

/** What the keys of an installation say. */
export interface ScannedKeys {
  /** Lines that have any key. */
  lineNames: Set<string>
  /** Jobs whose data Redis has. After a fault, some of them may be in no list. */
  jobs: { lineName: string; jobId: string }[]
}

const JOB_ID = /^(?:event|line)-\d+\.[0-9a-z]{21}\.\d+$/

/**
 * Scans all keys of the installation, without blocking Redis. It does not use the registry of
 * lines, because the registry is in Redis too and may itself be incomplete.
 */
export async function scanKeys(redis: LineRedis, layout: LineLayout): Promise<ScannedKeys> {
  const found: ScannedKeys = { lineNames: new Set(), jobs: [] }
  for (const prefix of shardPrefixes(layout)) {
    const match = shardKeysPattern(prefix)
    for await (const keys of redis.of(prefix).scanStream({ match, count: KEYS_PER_SCAN })) {
      for (const key of keys as string[]) {
        const parsed = parseLineKey(key, prefix)
        if (parsed === undefined) continue
        const { lineName, rest } = parsed
        found.lineNames.add(lineName)
        if (JOB_ID.test(rest)) found.jobs.push({ lineName, jobId: rest })
      }
    }
  }
  return found
}

/**
 * Finds jobs in lines that the layout does not have.
 *
 * @param servers a connection to each server that may have keys of the installation
 * @returns a sentence about each list of such jobs
 */
export async function findUnknownLines(
  servers: readonly Redis[],
  layout: LineLayout,
): Promise<string[]> {
  const unknown = new Set<string>()
  const match = installationKeysPattern(layout.keyPrefix)
  for (const redis of servers) {
    for await (const keys of redis.scanStream({ match, count: KEYS_PER_SCAN })) {
      for (const key of keys as string[]) {
        const parsed = parseAnyLineKey(key)
        if (parsed === undefined || !isUnfinishedList(parsed.rest)) continue
        const { lineName } = parsed
        const isKnown =
          isLineName(lineName, layout) && key.startsWith(`${linePrefix(lineName, layout)}:`)
        if (!isKnown) unknown.add(`${key} holds jobs, and no process serves that line`)
      }
    }
  }
  return [...unknown]
}
