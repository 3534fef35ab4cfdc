import {
  defineScript,
  type JobPayload,
  type JobReply,
  type LineLayout,
  type Log,
  writeTogether,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { depthKey, linePrefix, REPLIES_TTL_MS, replyKey } from '../keys.js'

/** Replies kept for an API process that does not read. */
const REPLIES_KEPT = 500

// The answer also reduces the count of undecided commands. If the line is empty, its counts are
// deleted: a crash between two steps may have left a wrong one.
const ANSWER = `if ARGV[1] ~= '' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'reply', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if redis.call('LLEN', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[3])
else
  for i = 4, #ARGV, 2 do
    if redis.call('HINCRBY', KEYS[3], ARGV[i], -tonumber(ARGV[i + 1])) <= 0 then redis.call('HDEL', KEYS[3], ARGV[i]) end
  end
end`

/**
 * @param reply undefined for a job that leaves its line without an answer; it only reduces the
 * count
 */
export type Answer = (lineName: string, payload: JobPayload, reply: JobReply | undefined) => void

/**
 * Answers the API process that asked, on its reply stream. Sent on the connection that completes the job right after,
 * so before it, and without waiting: if it fails, the waiters find the outcome in PostgreSQL.
 */
export function createAnswer(redis: Redis, layout: LineLayout, log: Log): Answer {
  const answer = defineScript(redis, 'ticketsAnswer', 3, ANSWER)
  return (lineName, payload, reply) => {
    const prefix = linePrefix(lineName, layout)
    const decided = new Map<number, number>()
    for (const { eventId } of payload.commands)
      decided.set(eventId, (decided.get(eventId) ?? 0) + 1)
    // The completion of the job follows in the same moment.
    writeTogether(redis)
    answer(
      replyKey(prefix, payload.replyTo),
      `${prefix}:${lineName}:wait`,
      depthKey(prefix, lineName),
      reply === undefined ? '' : JSON.stringify(reply),
      REPLIES_KEPT,
      REPLIES_TTL_MS,
      ...[...decided].flat(),
    ).catch((error: unknown) =>
      log.warn(
        { jobId: reply?.jobId, commands: payload.commands.length, err: error },
        'an answer was not sent',
      ),
    )
  }
}
