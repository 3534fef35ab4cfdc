import { randomUUID } from 'node:crypto'
import { defineScript, every, type Log, readScript } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { busy } from '../http/problem.js'

/** How long a lease in Redis outlives its process, ms. */
const LEASE_MS = 15_000
const RENEW_EVERY_MS = 5000
const RETRY_AFTER_SECONDS = 5

const RENEW = new URL('../../scripts/renew-export.lua', import.meta.url)
const RELEASE = new URL('../../scripts/release-export.lua', import.meta.url)

/**
 * Limits the downloads of lists to one per user across all API processes, and to `max` per process.
 * A download holds a connection and a snapshot of PostgreSQL until its client has read everything.
 */
export interface ExportLimit {
  /**
   * @returns a function that ends the download and never rejects; `undefined` if this user has a
   * download already
   * @throws AppError `busy` if this process already has `max` downloads
   */
  enter(userId: string): Promise<(() => Promise<void>) | undefined>
}

export interface ExportLimitDeps {
  /** Maximum number of concurrent downloads of this process. */
  max: number
  /** If absent or unavailable, only the downloads of this process count. */
  redis?: Redis
  /** Prefix of the keys. */
  prefix: string
  log: Log
}

export function createExportLimit({ max, redis, prefix, log }: ExportLimitDeps): ExportLimit {
  const usersHere = new Set<string>()
  const renew = redis && defineScript(redis, 'limitsRenewExport', readScript(RENEW))
  const release = redis && defineScript(redis, 'limitsReleaseExport', readScript(RELEASE))

  /** @returns false if the user has a download in another process */
  async function lease(key: string, holder: string): Promise<boolean> {
    try {
      if (redis === undefined || (await redis.set(key, holder, 'PX', LEASE_MS, 'NX')) !== null)
        return true
      // If the clock of Redis was set back, the lease of a dead process would otherwise last that
      // much longer.
      if ((await redis.pttl(key)) > LEASE_MS) await redis.pexpire(key, LEASE_MS)
      return false
    } catch (err) {
      log.warn({ err }, 'Redis cannot be reached; downloads are limited in this process only')
      return true
    }
  }

  return {
    async enter(userId) {
      if (usersHere.has(userId)) return undefined
      if (usersHere.size >= max) {
        throw busy(
          'Too many lists are being downloaded. Please try again.',
          'process_downloads',
          RETRY_AFTER_SECONDS,
        )
      }
      usersHere.add(userId)
      const key = `${prefix}export:u:${userId}`
      const holder = randomUUID()
      if (!(await lease(key, holder))) {
        usersHere.delete(userId)
        return undefined
      }
      const renewal = every(RENEW_EVERY_MS, () => renew?.(key, holder, LEASE_MS), {
        // Ignored: while Redis is unavailable, the lease of this download may expire.
        onError: () => undefined,
      })
      let isHeld = true
      return async function leave() {
        if (!isHeld) return
        isHeld = false
        void renewal.stop()
        await release?.(key, holder).catch(() => undefined)
        usersHere.delete(userId)
      }
    },
  }
}
