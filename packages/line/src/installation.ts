import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InstallationRecord, InstallationStore } from '@ticket-line/db'
import {
  ConfigError,
  defineScript,
  inTime,
  type LineLayout,
  type Log,
  REDIS_NOW,
  UNLOGGED,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { installationKey, processesKey, shardPrefix } from './keys.js'

/** What a Redis says about the installation that it belongs to. */
export interface RedisClaim {
  /** Id of the installation; undefined in a Redis that is new or was flushed. */
  installationId: string | undefined
  /** Random id of this Redis. */
  redisId: string | undefined
}

/** A process of the installation that was alive a moment ago. */
export interface ProcessMark {
  processId: string
  service: string
  /** Id of the database that it uses; undefined if its role may not read it. */
  databaseId: string | undefined
  /** When it last renewed this mark, by the clock of Redis, ms since 1970. */
  seenAtMs: number
}

/** A process counts as alive for this long after its last sign of life, ms. */
export const ALIVE_MS = 6000
/** How often a process checks whether its servers still belong together, ms. */
const LOOK_EVERY_MS = 2000
/** Pause between two looks of a process that starts and has to wait, ms. */
const LOOK_AGAIN_MS = 250
/** A running process ends if its Redis has not been the one in use for this long, ms. */
const DIFFERS_FOR_MS = 10_000
/** How long a process that ends may take to remove its marks, ms. */
const LEAVE_WITHIN_MS = 500

// KEYS[1] claim, KEYS[2] processes
// ARGV[1] installation id, ARGV[2] process id or '', ARGV[3] service, ARGV[4] database id,
// ARGV[5] ms alive
// Output: installation id, Redis id, then process id and mark of each other process that is alive
//
// Processes do this all the time, so it stays out of the append-only file. Signs of life need not
// survive a restart of Redis: processes give one as soon as they reconnect.
const LOOK = `${UNLOGGED}
${REDIS_NOW}
local claim, processes, nowMs = KEYS[1], KEYS[2], now_ms()
local owner = redis.call('HMGET', claim, 'installation', 'redis')
local result = { owner[1], owner[2] }
local marks = redis.call('HGETALL', processes)
for i = 1, #marks, 2 do
  local ageMs = nowMs - (tonumber(string.match(marks[i + 1], '^%d+')) or 0)
  if ageMs > tonumber(ARGV[5]) or ageMs < -tonumber(ARGV[5]) then
    if ARGV[2] ~= '' then redis.call('HDEL', processes, marks[i]) end
  elseif marks[i] ~= ARGV[2] then
    result[#result + 1] = marks[i]
    result[#result + 1] = marks[i + 1]
  end
end
if ARGV[2] ~= '' and owner[1] == ARGV[1] then
  redis.call('HSET', processes, ARGV[2], string.format('%.0f', nowMs) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
end
return result`

// KEYS[1] claim; ARGV[1] installation id, ARGV[2] Redis id. Does nothing if somebody has claimed
// it.
const CLAIM = `if redis.call('HSETNX', KEYS[1], 'installation', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'redis', ARGV[2])
end`

/** Reads and writes what a Redis knows of the installation under a key prefix. */
export function createRedisClaims(redis: Redis, layout: Pick<LineLayout, 'keyPrefix'>) {
  const prefix = shardPrefix(0, layout)
  const keys = [installationKey(prefix), processesKey(prefix)] as const
  const look = defineScript(redis, 'installationLook', 2, LOOK)
  const claim = defineScript(redis, 'installationClaim', 1, CLAIM)

  return {
    /**
     * Reads the claim and the processes that are alive. With `self`, marks that process as alive if
     * the claim is ours.
     */
    async look(self?: {
      installationId: string
      processId: string
      service: string
      databaseId: string | undefined
    }): Promise<RedisClaim & { others: ProcessMark[] }> {
      const reply = (await look(
        ...keys,
        self?.installationId ?? '',
        self?.processId ?? '',
        self?.service ?? '',
        self?.databaseId ?? '',
        ALIVE_MS,
      )) as (string | null)[]
      const others: ProcessMark[] = []
      for (let i = 2; i + 1 < reply.length; i += 2) {
        const [seenAtMs, service = '', databaseId] = String(reply[i + 1]).split(' ')
        others.push({
          processId: String(reply[i]),
          service,
          databaseId: databaseId || undefined,
          seenAtMs: Number(seenAtMs),
        })
      }
      return { installationId: reply[0] ?? undefined, redisId: reply[1] ?? undefined, others }
    },
    /** Claims a Redis that nobody has claimed. */
    claim: async (installationId: string, redisId: string) =>
      void (await claim(keys[0], installationId, redisId)),
    /** Removes the mark of a process that ends. */
    leave: async (processId: string) => void (await redis.hdel(keys[1], processId)),
    /** Removes the claim. */
    forget: async () => void (await redis.del(keys[0])),
  }
}

export type RedisClaims = ReturnType<typeof createRedisClaims>

/** Describes in one line how a layout differs from the recorded one; undefined if it does not. */
export function layoutDifference(
  layout: LineLayout,
  recorded: Pick<InstallationRecord, 'keyPrefix' | 'sharedLines' | 'shards'>,
): string | undefined {
  const settings: [name: string, here: string | number, recorded: string | number][] = [
    ['KEY_PREFIX', layout.keyPrefix, recorded.keyPrefix],
    ['SHARED_LINES', layout.lines, recorded.sharedLines],
    ['SHARDS', layout.shards, recorded.shards],
  ]
  const different = settings.filter(([, here, there]) => here !== there)
  if (different.length === 0) return undefined
  const described = different.map(
    ([name, here, there]) => `${name} is ${here} here and ${there} there`,
  )
  return (
    `this process would use other lines than its installation: ${described.join(', ')}. ` +
    'All processes need the same values; to change them, see "Changing the layout" in docs/operations.md'
  )
}

/** Describes in one line that a Redis belongs to another installation. */
function foreignRedis(keyPrefix: string, redisOwner: string, ours: string): string {
  return (
    `the keys "${keyPrefix}" in this Redis belong to another installation (${redisOwner}; this database is ${ours}): ` +
    'give each installation a KEY_PREFIX of its own. If the other one is gone, see "ops claim"'
  )
}

const OTHER_REDIS =
  'other processes of this installation use another Redis: REDIS_URL must lead all of them to the same one'
const OTHER_DATABASE =
  'a process with another database of the same installation, such as a copy, uses these keys in Redis: ' +
  'give the copy a KEY_PREFIX of its own, and remove its row of "installation"'

/**
 * Checks that a Redis and a layout are those of the installation, for a tool that only reads. It
 * claims and marks nothing.
 *
 * @param record what PostgreSQL records; undefined if no process has ever started
 * @throws ConfigError with one line for the operator
 */
export async function assertSameInstallation(
  record: InstallationRecord | undefined,
  layout: LineLayout,
  claims: Pick<RedisClaims, 'look'>,
): Promise<void> {
  if (record === undefined) return
  const difference = layoutDifference(layout, record)
  if (difference !== undefined) throw new ConfigError(difference)
  let claim = await claims.look()
  // If Redis was flushed a moment ago, a running process claims it again at its next look.
  const isInUse = isRedisInUse(record)
  for (let waitedMs = 0; isInUse && claim.installationId === undefined; waitedMs += LOOK_AGAIN_MS) {
    if (waitedMs > LOOK_EVERY_MS + 4 * LOOK_AGAIN_MS) throw new ConfigError(OTHER_REDIS)
    await sleep(LOOK_AGAIN_MS)
    claim = await claims.look()
  }
  if (claim.installationId !== undefined && claim.installationId !== record.id) {
    throw new ConfigError(foreignRedis(layout.keyPrefix, claim.installationId, record.id))
  }
}

/** True if a process used the recorded Redis a moment ago. */
function isRedisInUse({ redisSeenMsAgo }: InstallationRecord): boolean {
  return redisSeenMsAgo !== null && redisSeenMsAgo <= ALIVE_MS
}

export interface InstallationDeps {
  redis: Redis
  store: InstallationStore
  layout: LineLayout
  service: 'api' | 'worker'
  log: Log
  /** Called once if this process must not go on: its servers do not belong together any more. */
  onRefused: (message: string) => void
}

/** Watches whether this process, its database and its Redis belong together. */
export interface InstallationWatch {
  /**
   * Called at the start, when both servers answer. Claims a new Redis, records the first layout,
   * and begins to watch.
   *
   * @throws ConfigError with one line for the operator; the driver's error if a server does not
   * answer
   */
  join(): Promise<void>
  /** False while it is uncertain whether Redis is the right one, for example after a reconnect. */
  isSure(): boolean
  /** Stops watching and tells the other processes that this one has ended. */
  leave(): Promise<void>
}

export function createInstallationWatch(deps: InstallationDeps): InstallationWatch {
  const { redis, store, layout, service, log } = deps
  const claims = createRedisClaims(redis, layout)
  const processId = randomUUID()
  /** The installation and its Redis, once this process has joined. */
  let joined: { installationId: string; redisId: string } | undefined
  let isSure = false
  let refused = false
  let left = false
  let differsSinceMs: number | undefined
  let timer: NodeJS.Timeout | undefined

  /** Id of the database that answered last. */
  let databaseId: string | undefined

  const lookAs = (installationId: string) =>
    claims.look({ installationId, processId, service, databaseId })

  async function join(): Promise<void> {
    const startedAtMs = performance.now()
    let record = await store.readOrCreate(layout)
    if (record.drained) {
      if (record.keyPrefix !== layout.keyPrefix) await forgetOldPrefix(record)
      await store.recordLayout(layout)
      record = await store.readOrCreate(layout)
    }
    const seenFirst = new Map<string, string>()
    let warned = false
    for (;;) {
      const difference = layoutDifference(layout, record)
      if (difference !== undefined) throw new ConfigError(difference)
      databaseId = await store.readDatabaseId()
      let claim = await patiently(() => claims.look())
      if (claim.installationId !== undefined && claim.installationId !== record.id) {
        throw new ConfigError(foreignRedis(layout.keyPrefix, claim.installationId, record.id))
      }
      // Signs of life that contradict this process. One that no longer changes is of a process that
      // ended.
      const signs: [text: string, value: string, message: string][] = claim.others
        .filter((other) => other.databaseId !== undefined && databaseId !== undefined)
        .filter((other) => other.databaseId !== databaseId)
        .map((other) => [other.processId, String(other.seenAtMs), OTHER_DATABASE])
      const { redisId, redisSeenAt } = record
      if (redisId !== null && redisId !== claim.redisId && isRedisInUse(record)) {
        signs.push([redisId, redisSeenAt ?? '', OTHER_REDIS])
      }
      for (const [sign, value, message] of signs) {
        // Not at once: after a flush, one more sign for the old Redis may arrive while the new one
        // is claimed.
        const isLate = performance.now() - startedAtMs > LOOK_EVERY_MS + 2 * LOOK_AGAIN_MS
        if (isLate && seenFirst.get(sign) !== value) throw new ConfigError(message)
        if (!seenFirst.has(sign)) seenFirst.set(sign, value)
      }
      if (signs.length === 0 || performance.now() - startedAtMs > ALIVE_MS) {
        const { id } = record
        if (claim.redisId === undefined) await patiently(() => claims.claim(id, randomUUID()))
        claim = await patiently(() => lookAs(id))
        if (claim.installationId === record.id && claim.redisId !== undefined) {
          if (claim.redisId !== redisId) await store.replaceRedis(redisId, claim.redisId)
          await store.renewRedis(claim.redisId)
          joined = { installationId: record.id, redisId: claim.redisId }
          break
        }
      } else if (!warned) {
        warned = true
        log.warn(`waiting for this to pass: ${signs[0]?.[2]}`)
      }
      await sleep(LOOK_AGAIN_MS)
      record = await store.readOrCreate(layout)
    }
    isSure = true
    redis.on('close', () => {
      isSure = false
    })
    redis.on('ready', () => void lookSafely())
    timer = setInterval(() => void lookSafely(), LOOK_EVERY_MS)
    timer.unref()
  }

  /** Asks Redis until it answers. */
  async function patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (left) throw error
        if (/NOPERM /.test(String(error))) {
          throw new ConfigError(
            `Redis refuses what this service needs: ${(error as Error).message}`,
          )
        }
        log.debug({ err: error }, 'waiting for Redis')
        await sleep(LOOK_AGAIN_MS)
      }
    }
  }

  /** Releases the keys of the earlier prefix, whose lines are empty, for other installations. */
  async function forgetOldPrefix(record: InstallationRecord): Promise<void> {
    const old = createRedisClaims(redis, { keyPrefix: record.keyPrefix })
    const claim = await patiently(() => old.look())
    if (claim.installationId === record.id) await patiently(() => old.forget())
  }

  let looking = false
  let again = false
  async function lookSafely(): Promise<void> {
    again = looking
    if (looking || refused || left || redis.status !== 'ready') return
    looking = true
    try {
      await lookAtRedis()
      if (isSure || differsSinceMs !== undefined) await lookAtRecord()
    } catch (error) {
      // A server cannot be reached; other parts watch for that and report it.
      log.debug({ err: error }, 'the installation could not be checked')
    } finally {
      looking = false
    }
    // A look that was asked for meanwhile, after a reconnect, must not wait for the next interval.
    if (again) await lookSafely()
  }

  async function lookAtRedis(): Promise<void> {
    const known = joined as { installationId: string; redisId: string }
    let claim = await lookAs(known.installationId)
    if (left) return
    if (claim.installationId === undefined) {
      log.warn('Redis came back without its data: it is claimed again')
      await claims.claim(known.installationId, randomUUID())
      claim = await lookAs(known.installationId)
    }
    if (claim.installationId !== known.installationId || claim.redisId === undefined) {
      refuse(
        foreignRedis(layout.keyPrefix, claim.installationId ?? 'unknown', known.installationId),
      )
      return
    }
    if (claim.redisId === known.redisId) {
      if (differsSinceMs === undefined) isSure = true
      return
    }
    // Redis was flushed or restored. The next look at the record shows whether the others agree.
    const before = known.redisId
    joined = { ...known, redisId: claim.redisId }
    await store.replaceRedis(before, claim.redisId)
    isSure = differsSinceMs === undefined
  }

  async function lookAtRecord(): Promise<void> {
    const { installationId, redisId } = joined as { installationId: string; redisId: string }
    const record = await store.readOrCreate(layout, installationId)
    databaseId = await store.readDatabaseId()
    if (left) return
    const difference = layoutDifference(layout, record)
    if (record.drained && service === 'api') {
      // This process puts commands into lines of this layout for as long as it runs.
      await store.recordLayout(layout)
    } else if (difference !== undefined && !record.drained) {
      refuse(difference)
      return
    }
    if (record.id !== installationId) {
      refuse(foreignRedis(layout.keyPrefix, installationId, record.id))
    } else if (record.redisId === redisId) {
      differsSinceMs = undefined
      isSure = true
      await store.renewRedis(redisId)
    } else if (!isRedisInUse(record)) {
      await store.replaceRedis(record.redisId, redisId)
    } else {
      isSure = false
      differsSinceMs ??= performance.now()
      if (performance.now() - differsSinceMs > DIFFERS_FOR_MS) refuse(OTHER_REDIS)
    }
  }

  function refuse(message: string): void {
    if (refused || left) return
    refused = true
    isSure = false
    clearInterval(timer)
    deps.onRefused(message)
  }

  return {
    join,
    isSure: () => isSure,
    async leave() {
      left = true
      clearInterval(timer)
      if (joined === undefined) return
      const { redisId } = joined
      const goodbyes = [claims.leave(processId), store.leaveRedis(redisId)]
      await inTime(Promise.allSettled(goodbyes), LEAVE_WITHIN_MS)
    },
  }
}
