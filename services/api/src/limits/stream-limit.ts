import { randomUUID } from 'node:crypto'
import { defineScript, every, type Log, type Loop, readScript } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { busy } from '../http/problem.js'
import { createConcurrencyLimit } from './concurrency.js'

/** Maximum number of streams of a user. */
export const MAX_STREAMS_PER_USER = 6

/**
 * How long the counts of a process outlive it, ms. A process that was killed has left its streams
 * counted, and their clients soon connect to other processes.
 */
const ALIVE_MS = 3000
const RENEW_EVERY_MS = 1000
/** How long the count of a user or an address is kept after the last stream was opened, ms. */
const FORGET_AFTER_MS = 24 * 3_600_000

/** Lua: keeps the writes of a script out of the append-only file, like those of the rate limits. */
const UNLOGGED = 'redis.set_repl(redis.REPL_REPLICA)\n'
const ENTER = new URL('../../scripts/enter-stream.lua', import.meta.url)
const LEAVE = new URL('../../scripts/leave-stream.lua', import.meta.url)
const RENEW = {
  lua: `${UNLOGGED}return redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])`,
  numberOfKeys: 1,
}

/**
 * Limits the streams that are open: those of a user and of an address across all API processes, and
 * those of this process. While Redis is unavailable, only the streams of this process count.
 */
export interface StreamLimit {
  /**
   * @param address key of the client's address, see `clientAddressKey`
   * @param userId the user whose token was sent; undefined if none was
   * @returns a function that gives the place back; `undefined` if the user or the address has too
   * many streams
   * @throws AppError `busy` if this process has too many
   */
  enter(address: string, userId: string | undefined): Promise<(() => void) | undefined>
  /** Gives back the places of all streams, because this process stops. */
  close(): Promise<void>
}

export interface StreamLimitDeps {
  /** Maximum number of streams of this process. */
  max: number
  maxPerAddress: number
  /** If absent, only the streams of this process count. */
  redis?: Redis
  /** Prefix of the keys. */
  prefix: string
  /**
   * Called for each stream that is refused: with `client` if its user or its address has too many,
   * with `process` if this process has too many.
   */
  onRefused: (full: 'client' | 'process') => void
  log: Log
}

export function createStreamLimit({
  max,
  maxPerAddress,
  redis,
  prefix,
  onRefused,
  log,
}: StreamLimitDeps): StreamLimit {
  const all = createConcurrencyLimit(max)
  /** Streams of this process by key. */
  const here = new Map<string, number>()
  const processId = randomUUID()
  const livingPrefix = `${prefix}streams:p:`
  const shared = redis && {
    enter: defineScript(redis, 'limitsEnterStream', unlogged(ENTER)),
    leave: defineScript(redis, 'limitsLeaveStream', unlogged(LEAVE)),
    renew: defineScript(redis, 'limitsRenewStreams', RENEW),
  }
  let renewal: Loop | undefined
  let isFailing = false

  function onError(err: unknown): void {
    if (!isFailing)
      log.warn({ err }, 'Redis cannot be reached; streams are limited in this process only')
    isFailing = true
  }

  function add(key: string, count: number): void {
    const sum = (here.get(key) ?? 0) + count
    if (sum > 0) here.set(key, sum)
    else here.delete(key)
  }

  function refuse(): undefined {
    onRefused('client')
  }

  async function enterShared(address: string, user: string): Promise<boolean> {
    if (shared === undefined) return true
    const renew = () => shared.renew(livingPrefix + processId, ALIVE_MS)
    try {
      if (renewal === undefined) {
        renewal = every(RENEW_EVERY_MS, renew, { onError })
        // Other processes count the streams of this one only while its key exists.
        await renew()
      }
      const entered = await shared.enter(
        address,
        user,
        processId,
        livingPrefix,
        maxPerAddress,
        MAX_STREAMS_PER_USER,
        FORGET_AFTER_MS,
      )
      isFailing = false
      return entered === 1
    } catch (err) {
      onError(err)
      return true
    }
  }

  return {
    async enter(address, userId) {
      const addressKey = `${prefix}streams:${address}`
      const userKey = userId === undefined ? addressKey : `${prefix}streams:u:${userId}`
      const isFull = (key: string, limit: number) => (here.get(key) ?? 0) >= limit
      if (isFull(addressKey, maxPerAddress)) return refuse()
      if (userKey !== addressKey && isFull(userKey, MAX_STREAMS_PER_USER)) return refuse()
      if (!all.enter()) {
        onRefused('process')
        throw busy(
          'This process has as many streams as it can. Please try again.',
          'process_streams',
        )
      }
      const isEntered = enterShared(addressKey, userKey)
      const keys = new Set([addressKey, userKey])
      for (const key of keys) add(key, 1)
      const forget = (): void => {
        all.leave()
        for (const key of keys) add(key, -1)
      }
      if (!(await isEntered)) {
        forget()
        return refuse()
      }
      let isHeld = true
      return function leave() {
        if (!isHeld) return
        isHeld = false
        forget()
        shared?.leave(addressKey, userKey, processId).catch(onError)
      }
    },
    async close() {
      await renewal?.stop()
      await redis?.del(livingPrefix + processId).catch(() => undefined)
    },
  }
}

function unlogged(file: URL) {
  const script = readScript(file)
  return { ...script, lua: UNLOGGED + script.lua }
}
