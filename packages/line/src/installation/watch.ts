import { randomUUID } from 'node:crypto'
import type { InstallationRecord, InstallationStore } from '@ticket-line/db'
import {
  ConfigError,
  every,
  type LineLayout,
  type Log,
  type Loop,
  sleep,
  withDeadline,
  withRetries,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import {
  foreignRedis,
  isRedisInUse,
  layoutDifference,
  OTHER_DATABASE,
  OTHER_REDIS,
} from './check.js'
import {
  ALIVE_MS,
  CHECK_EVERY_MS,
  createRedisOwnership,
  type OwnerReply,
  READ_AGAIN_MS,
} from './ownership.js'

/**
 * How long PostgreSQL may name another Redis as the one in use before a running process ends, ms.
 */
const DIFFERS_FOR_MS = 10_000
/** How long a process that ends may take to remove its marks, ms. */
const LEAVE_WITHIN_MS = 500
/**
 * For this long after a process that starts has seen a contradiction, it ignores the heartbeats of
 * the other one, ms. After a flush, one more heartbeat for the old Redis may arrive while the new
 * one gets its owner.
 */
const IGNORED_MS = CHECK_EVERY_MS + 2 * READ_AGAIN_MS

export interface InstallationDeps {
  /** The connection to the first shard, which has the keys of the installation. */
  redis: Redis
  store: InstallationStore
  layout: LineLayout
  service: 'api' | 'worker' | 'notifier'
  log: Log
  /** Called once if this process must not continue: its servers no longer belong together. */
  onRefused: (message: string) => void
}

/** Watches whether this process, its database and its Redis belong together. */
export interface InstallationWatch {
  /**
   * Called at the start, when both servers answer. Takes a new Redis, records the first layout,
   * and begins to watch.
   *
   * @throws ConfigError with a message for the operator; the driver's error if a server does not
   * answer
   */
  join(): Promise<void>
  /** False while it is uncertain whether Redis is the right one, for example after a reconnect. */
  isSure(): boolean
  /** Called when Redis may have lost its data. Checks at once whether it still has its owner. */
  checkNow(): void
  /** Stops watching and tells the other processes that this one has ended. */
  leave(): Promise<void>
}

/** The installation that this process belongs to, and the Redis that it uses. */
interface Membership {
  installationId: string
  redisId: string
}

/**
 * The states of a process:
 *
 * - `joining`: it has written nothing to Redis. `join` checks whether its servers belong together.
 *   If another process seems to contradict that, it waits.
 * - `sure`: at the last check this installation owned the keys in Redis, and PostgreSQL named this
 *   Redis as the one in use. Only now does the process accept commands.
 * - `unsure`: the connection to Redis was lost. The address may lead to another server by now.
 * - `differing`: since `sinceMs` of the monotonic clock, PostgreSQL has named another Redis as the
 *   one in use. This happens if two groups of processes have different settings of Redis.
 * - `refused`: the servers do not belong together. `onRefused` was called and ends the process.
 * - `left`: the process ends.
 *
 * A check reads Redis first. If the installation still owns the keys, `unsure` becomes `sure`. If
 * Redis was flushed, the process makes the installation the owner again; if the random id of Redis
 * has changed, the process records the new one in PostgreSQL. The check then reads the record in
 * PostgreSQL: if it names our Redis, `differing` becomes `sure`; if it names another one that is in
 * use, the process is `differing`, and after ten seconds `refused`. If no process has used the
 * other one for six seconds, the process records ours in its place instead.
 *
 * Checks run every two seconds, after each reconnect, and when Redis may have lost its data, one at
 * a time. While the process is `unsure` or `differing`, they run four times a second. Otherwise a
 * check that failed would keep the process from its work for two seconds. A check that is under way
 * when the process becomes `refused` or `left` has no effect on its state.
 */
type State =
  | { kind: 'joining' }
  | { kind: 'sure' | 'unsure'; member: Membership }
  | { kind: 'differing'; member: Membership; sinceMs: number }
  | { kind: 'refused'; member: Membership }
  | { kind: 'left' }

/** Which states may follow a state. */
const MAY_FOLLOW: Record<State['kind'], readonly State['kind'][]> = {
  joining: ['sure', 'left'],
  sure: ['sure', 'unsure', 'differing', 'refused', 'left'],
  unsure: ['sure', 'unsure', 'differing', 'refused', 'left'],
  differing: ['sure', 'differing', 'refused', 'left'],
  refused: ['left'],
  left: [],
}

export function createInstallationWatch(deps: InstallationDeps): InstallationWatch {
  const { redis, store, layout, service, log } = deps
  const ownership = createRedisOwnership(redis, layout)
  const processId = randomUUID()
  let state: State = { kind: 'joining' }
  let checking: Loop | undefined
  let checkingAgain: Loop | undefined
  /** Id of the database that answered last; undefined if the role may not read it. */
  let databaseId: string | undefined

  /** @returns false if `next` may not follow the present state, which then stays as it is */
  function become(next: State): boolean {
    if (!MAY_FOLLOW[state.kind].includes(next.kind)) return false
    state = next
    if (isOver()) {
      void checking?.stop()
      void checkingAgain?.stop()
    }
    return true
  }

  const isJoining = (): boolean => state.kind === 'joining'
  const isOver = (): boolean => state.kind === 'refused' || state.kind === 'left'

  function refuse(member: Membership, message: string): void {
    if (become({ kind: 'refused', member })) deps.onRefused(message)
  }

  const renew = (installationId: string): Promise<OwnerReply> =>
    ownership.renew({ installationId, processId, service, databaseId })

  async function join(): Promise<void> {
    let record = await readRecord()
    let seen: ReadonlyMap<string, SeenContradiction> = new Map()
    let isWaiting = false
    while (isJoining()) {
      seen = seeAgain(seen, await findContradictions(record), performance.now())
      const refusing = [...seen.values()].find(({ isAlive }) => isAlive)
      if (refusing !== undefined) throw new ConfigError(refusing.message)
      const [first] = seen.values()
      if (first !== undefined && !isWaiting) log.warn(`waiting for this to pass: ${first.message}`)
      isWaiting ||= first !== undefined
      const areOver = [...seen.values()].every(({ forMs }) => forMs > ALIVE_MS)
      if (areOver) await tryToJoin(record)
      if (!isJoining()) break
      await sleep(READ_AGAIN_MS)
      record = await store.readOrCreate(layout)
    }
    if (isOver()) return
    redis.on('close', () => {
      if (state.kind === 'sure') become({ kind: 'unsure', member: state.member })
    })
    // A server cannot be reached. Other parts watch for that and report it.
    const onError = (err: unknown): void =>
      log.debug({ err }, 'the installation could not be checked')
    checking = every(CHECK_EVERY_MS, check, { onError })
    checkingAgain = every(
      READ_AGAIN_MS,
      () => (state.kind === 'unsure' || state.kind === 'differing' ? checkNow() : undefined),
      { onError },
    )
    redis.on('ready', checkNow)
  }

  function checkNow(): void {
    void checking?.runNow()
  }

  /** Reads the record, and writes this layout into it if all lines are known to be empty. */
  async function readRecord(): Promise<InstallationRecord> {
    const record = await store.readOrCreate(layout)
    if (!record.drained) return record
    if (record.keyPrefix !== layout.keyPrefix) await forgetOldPrefix(record)
    await store.recordLayout(layout)
    return store.readOrCreate(layout)
  }

  /** Releases the keys of the earlier prefix, whose lines are empty, for other installations. */
  async function forgetOldPrefix({ id, keyPrefix }: InstallationRecord): Promise<void> {
    const old = createRedisOwnership(redis, { keyPrefix })
    const owner = await untilAnswered(() => old.read())
    if (owner.installationId === id) await untilAnswered(() => old.release())
  }

  /**
   * Finds heartbeats of processes that contradict this one.
   *
   * @throws ConfigError if this process contradicts the record, or Redis has another owner
   */
  async function findContradictions(record: InstallationRecord): Promise<Contradiction[]> {
    const difference = layoutDifference(layout, record)
    if (difference !== undefined) throw new ConfigError(difference)
    databaseId = await store.readDatabaseId()
    const owner = await untilAnswered(() => ownership.read())
    if (owner.installationId !== undefined && owner.installationId !== record.id)
      throw new ConfigError(foreignRedis(layout.keyPrefix, owner.installationId, record.id))
    const contradictions: Contradiction[] = []
    for (const other of owner.others) {
      if (other.databaseId === undefined || databaseId === undefined) continue
      if (other.databaseId === databaseId) continue
      const { processId, seenAtMs } = other
      contradictions.push({ source: processId, seenAtMs, message: OTHER_DATABASE })
    }
    const { redisId, redisSeenAtMs } = record
    if (redisId !== null && redisId !== owner.redisId && isRedisInUse(record))
      contradictions.push({
        source: redisId,
        seenAtMs: redisSeenAtMs ?? 0,
        message: OTHER_REDIS,
      })
    return contradictions
  }

  /** joining → sure, unless another process has changed the owner in the meantime */
  async function tryToJoin({ id, redisId }: InstallationRecord): Promise<void> {
    await untilAnswered(() => ownership.take(id, randomUUID()))
    const owner = await untilAnswered(() => renew(id))
    if (owner.installationId !== id || owner.redisId === undefined) return
    if (owner.redisId !== redisId) await store.replaceRedis(redisId, owner.redisId)
    await store.renewRedis(owner.redisId, layout)
    become({ kind: 'sure', member: { installationId: id, redisId: owner.redisId } })
  }

  /** Asks Redis until it answers. */
  function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    return withRetries(ask, async (err) => {
      if (state.kind === 'left') throw err
      if (/NOPERM /.test(String(err)))
        throw new ConfigError(`Redis refuses what this service needs: ${(err as Error).message}`)
      log.debug({ err }, 'waiting for Redis')
      await sleep(READ_AGAIN_MS)
    })
  }

  async function check(): Promise<void> {
    if (redis.status !== 'ready') return
    await checkRedis()
    if (state.kind === 'sure' || state.kind === 'differing') await checkRecord(state.member)
  }

  async function checkRedis(): Promise<void> {
    if (!('member' in state)) return
    const { member } = state
    const { installationId } = member
    let owner = await renew(installationId)
    if (isOver()) return
    if (owner.installationId === undefined) {
      log.warn('Redis came back without its data: this installation takes it again')
      await ownership.take(installationId, randomUUID())
      owner = await renew(installationId)
    }
    if (owner.installationId !== installationId || owner.redisId === undefined) {
      const ownerId = owner.installationId ?? 'unknown'
      refuse(member, foreignRedis(layout.keyPrefix, ownerId, installationId))
      return
    }
    const present = { installationId, redisId: owner.redisId }
    if (present.redisId !== member.redisId) {
      // Redis was flushed or restored. The record shows whether the others agree.
      if ('member' in state) become({ ...state, member: present })
      await store.replaceRedis(member.redisId, present.redisId)
    }
    if (state.kind === 'unsure') become({ kind: 'sure', member: present })
  }

  async function checkRecord(member: Membership): Promise<void> {
    const { installationId, redisId } = member
    const record = await store.readOrCreate(layout, installationId)
    databaseId = await store.readDatabaseId()
    if (isOver()) return
    const difference = layoutDifference(layout, record)
    if (record.drained && service === 'api') {
      // This process puts commands into lines of this layout for as long as it runs.
      await store.recordLayout(layout)
    } else if (difference !== undefined && !record.drained) {
      refuse(member, difference)
      return
    }
    if (record.id !== installationId) {
      refuse(member, foreignRedis(layout.keyPrefix, installationId, record.id))
    } else if (record.redisId === redisId) {
      if (state.kind === 'differing') become({ kind: 'sure', member })
      await store.renewRedis(redisId, layout)
    } else if (!isRedisInUse(record)) {
      await store.replaceRedis(record.redisId, redisId)
    } else {
      const nowMs = performance.now()
      const sinceMs = state.kind === 'differing' ? state.sinceMs : nowMs
      become({ kind: 'differing', member, sinceMs })
      if (nowMs - sinceMs > DIFFERS_FOR_MS) refuse(member, OTHER_REDIS)
    }
  }

  return {
    join,
    isSure: () => state.kind === 'sure',
    checkNow,
    async leave() {
      const member = 'member' in state ? state.member : undefined
      become({ kind: 'left' })
      if (member === undefined) return
      const removals = [ownership.leave(processId), store.leaveRedis(member.redisId)]
      await withDeadline(Promise.allSettled(removals), LEAVE_WITHIN_MS, () => undefined)
    },
  }
}

/** A contradiction that a process which starts has seen at each look for a while. */
interface SeenContradiction {
  message: string
  /** When it was first seen, by the monotonic clock, ms. */
  sinceMs: number
  forMs: number
  /** The heartbeat that a later one is compared with. */
  heartbeatMs: number
  /** True if it sent another heartbeat after the time in which they are ignored. */
  isAlive: boolean
}

/** @returns what is seen now, with what earlier looks have seen of it */
function seeAgain(
  seen: ReadonlyMap<string, SeenContradiction>,
  contradictions: readonly Contradiction[],
  nowMs: number,
): Map<string, SeenContradiction> {
  return new Map(
    contradictions.map(({ source, seenAtMs, message }) => {
      const before = seen.get(source)
      const sinceMs = before?.sinceMs ?? nowMs
      const forMs = nowMs - sinceMs
      // Only a later heartbeat shows that the other process is alive. One that has ended sends
      // none, and may have set its last one back when it left.
      const isCompared = before !== undefined && forMs > IGNORED_MS
      const heartbeatMs = isCompared ? before.heartbeatMs : seenAtMs
      return [source, { message, sinceMs, forMs, heartbeatMs, isAlive: seenAtMs > heartbeatMs }]
    }),
  )
}

/** A heartbeat of another process that uses a server that this one does not use. */
interface Contradiction {
  /** The process, or the Redis that it uses. */
  source: string
  /** Its last heartbeat, ms since 1970. Grows for as long as it is alive. */
  seenAtMs: number
  message: string
}
