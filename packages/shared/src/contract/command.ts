import { isEventId, isUserId } from './ids.js'
import { MAX_COMMANDS_PER_JOB } from './limits.js'

/** Version of the job payload that this build writes, and the highest it understands. */
export const JOB_VERSION = 1

/** What the reason of a failed job begins with if a worker set it aside instead of deciding it. */
export const SET_ASIDE = 'set aside: '

export type CommandType = 'book' | 'cancel'

/** An `Idempotency-Key` as it travels: whose it is, and its SHA-256 (a client may put anything into a key). */
export interface IdempotencyKey {
  caller: string
  keyHash: string
}

/** What a client asks, before it has a place in a line. */
export interface CommandRequest {
  type: CommandType
  eventId: number
  /** Whom it is for. */
  userId: string
  /** Who asks; differs from `userId` only for staff. */
  caller: string
  /** SHA-256 (base64url) of the caller's `Idempotency-Key`, where one was sent. */
  keyHash?: string
  /** W3C `traceparent` of the request, where it is traced. Nothing is decided on it. */
  trace?: string
}

/** A request that has its place in a line. */
export interface Command extends CommandRequest {
  commandId: string
}

/** A command with the time when its request was accepted. */
export interface AcceptedCommand extends Command {
  /** Ms since 1970, by the clock of an API process. */
  acceptedAtMs: number
}

/** What stands in BullMQ: 1 to 256 commands of one line. Ids alone: never a token, a password or an address. */
export interface JobPayload {
  v: number
  /** Reply stream of the API process that asked. */
  replyTo: string
  /** When the job was put together, ms since 1970, by the API's clock (shown to clients, never used to decide). */
  acceptedAtMs: number
  commands: CommandRequest[]
}

/** A payload that this build cannot read; a newer one is left to those who can. */
export type PayloadProblem = 'newer' | 'malformed'

/**
 * Reads a payload that came out of Redis, where anybody with access may have changed it.
 * @returns the payload, or why it cannot be used
 */
export function readJobPayload(data: unknown): JobPayload | PayloadProblem {
  if (typeof data !== 'object' || data === null) return 'malformed'
  const payload = data as Partial<JobPayload>
  if (typeof payload.v !== 'number') return 'malformed'
  if (payload.v > JOB_VERSION) return 'newer'
  const { commands } = payload
  if (!Array.isArray(commands) || commands.length === 0 || commands.length > MAX_COMMANDS_PER_JOB)
    return 'malformed'
  if (typeof payload.replyTo !== 'string' || typeof payload.acceptedAtMs !== 'number')
    return 'malformed'
  return commands.every(isCommandRequest) ? (payload as JobPayload) : 'malformed'
}

function isCommandRequest(value: unknown): value is CommandRequest {
  if (typeof value !== 'object' || value === null) return false
  const command = value as Partial<CommandRequest>
  return (
    (command.type === 'book' || command.type === 'cancel') &&
    isEventId(command.eventId) &&
    isUserId(command.userId) &&
    isUserId(command.caller) &&
    (command.keyHash === undefined || typeof command.keyHash === 'string') &&
    (command.trace === undefined || typeof command.trace === 'string')
  )
}
