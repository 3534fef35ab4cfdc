/**
 * Replies carry the outcomes of a job from its worker to the API process that added it, on one
 * stream for each API process. A reply that is lost loses no outcome: the API process looks in
 * PostgreSQL if a reply is overdue.
 */
import {
  type JobPayload,
  type JobReply,
  type LineLayout,
  type Log,
  writeTogether,
} from '@ticket-line/shared'
import { announcementOf, channelOf, type LastChanges } from './announcements.js'
import { countEvents } from './depth.js'
import { lineBase, linePrefix, repliesKey } from './keys.js'
import { type LineRedis, onEachShard } from './line-redis.js'
import { PACE_TIMES } from './pace.js'
import { defineSendReply } from './scripts.js'
import { followShards } from './streams.js'

/** About how many replies a stream keeps for an API process that does not read. */
const REPLIES_KEPT = 500
/**
 * How long a stream lives after its last reply, ms. An API process looks in PostgreSQL after one
 * second.
 */
export const REPLIES_TTL_MS = 60_000

/** Maximum time that a read waits for a reply, ms. */
const READ_FOR_MS = 2000
/** Maximum number of replies of one read, per shard. */
const READ_COUNT = 100

/**
 * Sends the reply of a job, counts its commands out of the line, measures the pace of the line, and
 * announces the changes of the job.
 *
 * @param reply undefined for a job that leaves its line without one
 * @param lastChanges undefined if the job has changed nothing
 */
export type SendReply = (
  lineName: string,
  payload: JobPayload,
  reply: JobReply | undefined,
  lastChanges: LastChanges | undefined,
) => void

/**
 * @returns a function that sends without waiting. The completion of the job follows on the same
 * connection, so Redis executes it after the reply.
 */
export function createSendReply(redis: LineRedis, layout: LineLayout, log: Log): SendReply {
  const sendReply = onEachShard(redis, defineSendReply)
  const options = { repliesKept: REPLIES_KEPT, ttlMs: REPLIES_TTL_MS, pace: PACE_TIMES }
  const channel = channelOf(layout)
  return (lineName, payload, reply, lastChanges) => {
    const prefix = linePrefix(lineName, layout)
    writeTogether(redis.of(prefix))
    const { replyTo } = payload
    sendReply(prefix)(
      // Nobody waits for the reply of a settle.
      reply === undefined || replyTo === undefined
        ? undefined
        : {
            repliesKey: repliesKey(prefix, replyTo),
            json: JSON.stringify(reply),
          },
      lineBase(lineName, layout),
      options,
      { channel, announcement: announcementOf(lastChanges) },
      countEvents(payload.commands),
    ).catch((error: unknown) =>
      log.warn(
        { jobId: reply?.jobId, commands: payload.commands.length, err: error },
        'could not send a reply',
      ),
    )
  }
}

/**
 * Follows the replies to one API process on all shards, beginning with the oldest one that the
 * streams still have.
 *
 * @param readers connections that nothing else uses
 * @param onReply Called with each reply. It must not throw.
 * @returns a function that stops it and closes the connections
 */
export function followReplies(
  readers: LineRedis,
  replyTo: string,
  onReply: (reply: JobReply) => void,
  log: Log,
): () => void {
  return followShards(readers, {
    keyOf: (prefix) => repliesKey(prefix, replyTo),
    lastId: '0-0',
    blockMs: READ_FOR_MS,
    count: READ_COUNT,
    onEntry([, json = '']) {
      const reply = readJobReply(json)
      if (reply === undefined) log.warn('ignored a reply that this build cannot read')
      else onReply(reply)
    },
    onError: (error) => log.warn({ err: error }, 'could not read replies'),
  })
}

/**
 * Parses a reply from Redis. Anyone with access to Redis may have changed it.
 *
 * @returns undefined if it is not what a worker sends
 */
export function readJobReply(json: string): JobReply | undefined {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { jobId, outcomes } = value as Partial<JobReply>
  if (typeof jobId !== 'string' || !Array.isArray(outcomes)) return undefined
  return outcomes.every(isOutcome) ? (value as JobReply) : undefined
}

function isOutcome(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { outcome, decidedAtMs } = value as { outcome?: unknown; decidedAtMs?: unknown }
  // The outcome may be one that only a newer release knows.
  return typeof outcome === 'string' && typeof decidedAtMs === 'number'
}
