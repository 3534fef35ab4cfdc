import { defineScript, type LineLayout, REDIS_NOW, UNLOGGED } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { installationKey, processesKey, shardPrefix } from '../keys.js'

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
export const CHECK_EVERY_MS = 2000
/** Pause of a process that has to wait for others before it reads the claim again, ms. */
export const READ_AGAIN_MS = 250

// Reads the claim and the marks, removes outdated marks, and renews the own mark.
//   KEYS[1] claim, KEYS[2] marks of processes
//   ARGV[1] installation id, ARGV[2] process id, or '' to read only, ARGV[3] service,
//   ARGV[4] database id, ARGV[5] ms for which a process counts as alive
//   Output: installation id, Redis id, then process id and mark of each other process that is alive
//
// Each process runs this every two seconds, so it is kept out of the append-only file. Marks need
// not survive a restart of Redis: processes renew them as soon as they reconnect.
const RENEW = `${UNLOGGED}
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

// Does nothing if the Redis is claimed already.
//   KEYS[1] claim
//   ARGV[1] installation id, ARGV[2] Redis id
const CLAIM = `if redis.call('HSETNX', KEYS[1], 'installation', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'redis', ARGV[2])
end`

/** A process that marks itself as alive. */
export interface ProcessIdentity extends Omit<ProcessMark, 'seenAtMs'> {
  /** Id of the installation that it belongs to. */
  installationId: string
}

/** The claim and the processes as one reply of Redis shows them. */
export interface ClaimReply extends RedisClaim {
  /** Processes that are alive, without the one that asks. */
  others: ProcessMark[]
}

/** Reads and writes the claim of a Redis, and the marks of processes, under one key prefix. */
export interface RedisClaims {
  read(): Promise<ClaimReply>
  /** Reads, and marks this process as alive if the Redis is claimed for its installation. */
  renew(self: ProcessIdentity): Promise<ClaimReply>
  /** Claims a Redis that nobody has claimed. */
  claim(installationId: string, redisId: string): Promise<void>
  /** Removes the mark of a process that ends. */
  leave(processId: string): Promise<void>
  /** Removes the claim. */
  forget(): Promise<void>
}

export function createRedisClaims(
  redis: Redis,
  layout: Pick<LineLayout, 'keyPrefix'>,
): RedisClaims {
  const prefix = shardPrefix(0, layout)
  const claimKey = installationKey(prefix)
  const marksKey = processesKey(prefix)
  const runRenew = defineScript(redis, 'installationRenew', 2, RENEW)
  const runClaim = defineScript(redis, 'installationClaim', 1, CLAIM)

  async function renew(self?: ProcessIdentity): Promise<ClaimReply> {
    const reply = (await runRenew(
      claimKey,
      marksKey,
      self?.installationId ?? '',
      self?.processId ?? '',
      self?.service ?? '',
      self?.databaseId ?? '',
      ALIVE_MS,
    )) as (string | null)[]
    const [installationId, redisId, ...marks] = reply
    const others: ProcessMark[] = []
    for (let i = 0; i + 1 < marks.length; i += 2) {
      const [seenAtMs, service = '', databaseId] = String(marks[i + 1]).split(' ')
      others.push({
        processId: String(marks[i]),
        service,
        databaseId: databaseId || undefined,
        seenAtMs: Number(seenAtMs),
      })
    }
    return { installationId: installationId ?? undefined, redisId: redisId ?? undefined, others }
  }

  return {
    read: () => renew(),
    renew,
    async claim(installationId, redisId) {
      await runClaim(claimKey, installationId, redisId)
    },
    async leave(processId) {
      await redis.hdel(marksKey, processId)
    },
    async forget() {
      await redis.del(claimKey)
    },
  }
}
