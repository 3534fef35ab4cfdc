import { isEventId, isUserId } from './ids.js'
import { MAX_COMMANDS_PER_JOB } from './limits.js'

/** The version of the job payload that this build writes, and the highest that it reads. */
export const JOB_VERSION = 1

/** Prefix of the failure reason of a job that a worker set aside instead of deciding it. */
export const SET_ASIDE = 'set aside: '

export type CommandType = 'book' | 'cancel'

/** A request to change an event, before it enters a line. */
export interface CommandRequest {
  type: CommandType
  eventId: number
  /** The user that the command is for. */
  userId: string
  /** The user that sent the request. It differs from `userId` only for staff. */
  caller: string
  /**
   * SHA-256 of the caller's `Idempotency-Key`, base64url; absent if none was sent. Only the hash
   * leaves the API, because a client may put anything into a key.
   */
  keyHash?: string
  /** W3C `traceparent` of the request; absent if it is not traced. No decision depends on it. */
  trace?: string
}

/** A request that has entered a line. */
export interface Command extends CommandRequest {
  commandId: string
}

/** The part of a request that clients may see. */
export type PublicRequest = Omit<CommandRequest, 'keyHash' | 'trace'>

/**
 * True if two requests of the same caller ask for the same change. A caller may use an idempotency
 * key again only for such a request.
 */
export function isSameRequest(a: PublicRequest, b: PublicRequest): boolean {
  return a.type === b.type && a.eventId === b.eventId && a.userId === b.userId
}

export function publicPartOf({ keyHash, trace, ...request }: CommandRequest): PublicRequest {
  return request
}

/** The part of a command that clients may see. */
export interface PublicCommand extends PublicRequest {
  commandId: string
}

/** A command with the time when its request was accepted. */
export interface AcceptedCommand extends Command {
  /** Milliseconds since 1970, by the clock of the API process. */
  acceptedAtMs: number
}

/**
 * The data of a BullMQ job: 1 to 256 commands of one line. It names users by their ids, and never
 * contains a token, a password or an address.
 */
export interface JobPayload {
  v: number
  /** Id of the API process that gets the reply. The key of its reply stream contains the id. */
  replyTo: string
  /**
   * When the job was created, ms since 1970, by the API's clock. Clients see it, and the lifetime
   * of idempotency keys counts from it.
   */
  acceptedAtMs: number
  commands: CommandRequest[]
}

/** Why this build cannot read a payload. A `newer` job is left to workers of a newer release. */
export type PayloadProblem = 'newer' | 'malformed'

/**
 * Checks the data of a job, because everybody with access to Redis can change it.
 *
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
