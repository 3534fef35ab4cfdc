import { randomUUID } from 'node:crypto'
import { AppError, defineScript, every, type Log } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** How long a place in Redis outlives a process that died with it, ms. */
const LEASE_MS = 15_000
const RENEW_EVERY_MS = 5000

// Only the download that took the place renews it and gives it back: after a standstill of this
// process the lease may have passed to another one.
const RENEW = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`
const GIVE_BACK = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/**
 * Bounds the downloads of lists: one per person over all API processes, and a number per process. A
 * download holds a connection and a snapshot of PostgreSQL until its client has read everything.
 */
export interface ExportPlaces {
  /**
   * @returns gives the place back, and never rejects; `undefined` if this person has a download
   * already
   * @throws AppError `busy` if this process has no place left
   */
  take(userId: string): Promise<(() => Promise<void>) | undefined>
}

export interface ExportPlacesDeps {
  /** Downloads of this process at once. */
  places: number
  /** Without it, and while Redis cannot be reached, only downloads of this process count. */
  redis?: Redis
  /** What the keys start with. */
  prefix: string
  log: Log
}

export function createExportPlaces({ places, redis, prefix, log }: ExportPlacesDeps): ExportPlaces {
  const here = new Set<string>()
  const renew = redis && defineScript(redis, 'limitsRenewExport', 1, RENEW)
  const giveBack = redis && defineScript(redis, 'limitsGiveBackExport', 1, GIVE_BACK)

  /** @returns false if another process has given the person a place */
  async function lease(key: string, holder: string): Promise<boolean> {
    try {
      if (redis === undefined || (await redis.set(key, holder, 'PX', LEASE_MS, 'NX')) !== null)
        return true
      // If Redis's clock was set back, the lease of a process that died would last for as much
      // longer.
      if ((await redis.pttl(key)) > LEASE_MS) await redis.pexpire(key, LEASE_MS)
      return false
    } catch (err) {
      log.warn({ err }, 'downloads are counted in this process only, Redis cannot be reached')
      return true
    }
  }

  return {
    async take(userId) {
      if (here.has(userId)) return undefined
      if (here.size >= places) {
        throw new AppError(
          'busy',
          'Too many lists are being downloaded right now, please try again soon.',
          {
            headers: { 'Retry-After': '5' },
          },
        )
      }
      here.add(userId)
      const key = `${prefix}export:u:${userId}`
      const holder = randomUUID()
      if (!(await lease(key, holder))) {
        here.delete(userId)
        return undefined
      }
      const renewal = every(RENEW_EVERY_MS, () => renew?.(key, holder, LEASE_MS), {
        // While Redis is away, the lease of this download may end.
        onError: () => undefined,
      })
      let held = true
      return async function give() {
        if (!held) return
        held = false
        void renewal.stop()
        await giveBack?.(key, holder).catch(() => undefined)
        here.delete(userId)
      }
    },
  }
}
