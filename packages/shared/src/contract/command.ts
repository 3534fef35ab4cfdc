import { isCaller, keyIdOf } from './api-key.js'
import type { EventPatch } from './event.js'
import { isEventId, isUserId } from './ids.js'
import { MAX_COMMANDS_PER_JOB } from './limits.js'

/**
 * The highest version of job payloads that this build reads. Version 1 has only commands that book
 * or cancel. Version 3 has the members of version 2, but a worker that reads only version 2 writes
 * no change log, so it must not decide such a job. Version 4 has commands that API keys sent, whose
 * callers earlier workers do not know.
 */
export const JOB_VERSION = 4
/** The version of a payload without a command of an API key. */
export const JOB_VERSION_WITHOUT_KEYS = 3

/** The version of a payload: the lowest one that its readers need to know. */
export function jobVersionOf(commands: readonly PublicRequest[]): number {
  const hasKey = commands.some(({ caller }) => keyIdOf(caller) !== undefined)
  return hasKey ? JOB_VERSION : JOB_VERSION_WITHOUT_KEYS
}

/** Prefix of the failure reason of a job that a worker set aside instead of deciding it. */
export const SET_ASIDE = 'set aside: '

export const COMMAND_TYPES = [
  'book',
  'cancel',
  'confirm',
  'extend',
  'grant',
  'configure',
  'cancel_event',
  'settle',
] as const

export type CommandType = (typeof COMMAND_TYPES)[number]

/** The part of a request that clients may see. */
export interface PublicRequest {
  type: CommandType
  eventId: number
  /** The user that the command is for; the caller for `configure` and `cancel_event`. */
  userId: string
  /**
   * Who sent the request: a user, or an API key (`callerOfKey`). A user differs from `userId` only
   * for staff.
   */
  caller: string
}

/** `userId` and `caller` of a `settle`, which no user sends. No user id is empty. */
export const NOBODY = ''

interface RequestBase extends PublicRequest {
  /**
   * SHA-256 of the caller's `Idempotency-Key`, base64url; absent if none was sent. Only the hash
   * leaves the API, because a client may put anything into a key.
   */
  keyHash?: string
  /**
   * SHA-256 of what the request asks for beyond its type, event and user, base64url; absent if that
   * is nothing or there is no key. A key may be used again only with the same hash.
   */
  requestHash?: string
  /** W3C `traceparent` of the request; absent if it is not traced. No decision depends on it. */
  trace?: string
}

/** The booking or hold that a command means; absent if it means whatever the user has. */
interface NamesBooking {
  bookingId?: string
}

export interface BookRequest extends RequestBase {
  type: 'book'
}

export interface CancelRequest extends RequestBase, NamesBooking {
  type: 'cancel'
}

/** Turns a hold into a booking. */
export interface ConfirmRequest extends RequestBase, NamesBooking {
  type: 'confirm'
}

/** Moves the deadline of a hold. */
export interface ExtendRequest extends RequestBase, NamesBooking {
  type: 'extend'
  /** Counted from the decision; absent for the first length of the hold. */
  seconds?: number
}

/** Gives a ticket to a user, ahead of the waiting list. */
export interface GrantRequest extends RequestBase {
  type: 'grant'
  /** True if the event may grow by one ticket. */
  raiseCapacity?: boolean
}

/** Changes the settings of an event. */
export interface ConfigureRequest extends RequestBase {
  type: 'configure'
  patch: EventPatch
  /** The version of the event that the client has seen; absent if any version is right. */
  ifVersion?: number
  /** True if the event may get a size below the number of its bookings and holds. */
  shrink?: boolean
}

export interface CancelEventRequest extends RequestBase {
  type: 'cancel_event'
  reason?: string
}

/** Applies what has come due: holds that lapse, promotions, and the end of a canceled event. */
export interface SettleRequest extends RequestBase {
  type: 'settle'
}

/** A request to change an event, before it enters a line. */
export type CommandRequest =
  | BookRequest
  | CancelRequest
  | ConfirmRequest
  | ExtendRequest
  | GrantRequest
  | ConfigureRequest
  | CancelEventRequest
  | SettleRequest

/** A request without the members that no decision depends on. */
export type Asked<Request extends CommandRequest = CommandRequest> = Request extends unknown
  ? Omit<Request, 'caller' | 'keyHash' | 'requestHash' | 'trace'>
  : never

/** A request that has entered a line. */
export type Command = CommandRequest & { commandId: string }

/**
 * True if two requests of the same caller ask for the same change. A caller may use an idempotency
 * key again only for such a request.
 */
export function isSameRequest(a: KeyedRequest, b: KeyedRequest): boolean {
  return (
    a.type === b.type &&
    a.eventId === b.eventId &&
    a.userId === b.userId &&
    a.requestHash === b.requestHash
  )
}

type KeyedRequest = PublicRequest & Pick<RequestBase, 'requestHash'>

export function publicPartOf({ type, eventId, userId, caller }: CommandRequest): PublicRequest {
  return { type, eventId, userId, caller }
}

/** The part of a command that clients may see. */
export interface PublicCommand extends PublicRequest {
  commandId: string
}

/** A command with the time when its request was accepted. */
export type AcceptedCommand = Command & {
  /** Milliseconds since 1970, by the clock of the API process. */
  acceptedAtMs: number
}

/**
 * The data of a BullMQ job: 1 to 256 commands of one line. It names users by their ids, and never
 * contains a token, a password or an address.
 */
export interface JobPayload {
  v: number
  /**
   * Id of the API process that gets the reply. The key of its reply stream contains the id. Absent
   * if nobody waits for the reply, as for a `settle`.
   */
  replyTo?: string
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
 * Checks the data of a job, because anyone with access to Redis can change it.
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
  if (payload.replyTo !== undefined && typeof payload.replyTo !== 'string') return 'malformed'
  if (payload.v === 1 && payload.replyTo === undefined) return 'malformed'
  if (typeof payload.acceptedAtMs !== 'number') return 'malformed'
  if (!commands.every(isCommandRequest)) return 'malformed'
  if (payload.v === 1 && !commands.every(({ type }) => isVersion1Type(type))) return 'malformed'
  // The claims that a settle ends are loaded before its batch is decided, so no other command may
  // change them.
  if (commands.length > 1 && commands.some(({ type }) => type === 'settle')) return 'malformed'
  return payload as JobPayload
}

function isVersion1Type(type: CommandType): boolean {
  return type === 'book' || type === 'cancel'
}

/** Checks the members of each type, except those that all commands have. */
const MEMBERS: Record<CommandType, (command: Record<string, unknown>) => boolean> = {
  book: () => true,
  cancel: ({ bookingId }) => isOptionalText(bookingId),
  confirm: ({ bookingId }) => isOptionalText(bookingId),
  extend: ({ bookingId, seconds }) => isOptionalText(bookingId) && isOptionalNumber(seconds),
  grant: ({ raiseCapacity }) => isOptionalFlag(raiseCapacity),
  configure: ({ patch, ifVersion, shrink }) =>
    typeof patch === 'object' &&
    patch !== null &&
    isOptionalNumber(ifVersion) &&
    isOptionalFlag(shrink),
  cancel_event: ({ reason }) => isOptionalText(reason),
  settle: () => true,
}

const isOptionalText = (value: unknown) => value === undefined || typeof value === 'string'
const isOptionalNumber = (value: unknown) => value === undefined || typeof value === 'number'
const isOptionalFlag = (value: unknown) => value === undefined || typeof value === 'boolean'

function isCommandRequest(value: unknown): value is CommandRequest {
  if (typeof value !== 'object' || value === null) return false
  const command = value as Partial<CommandRequest>
  const { type } = command
  if (type === undefined || !Object.hasOwn(MEMBERS, type) || !isEventId(command.eventId))
    return false
  const { userId, caller } = command
  const isNamed =
    type === 'settle'
      ? userId === NOBODY && caller === NOBODY
      : isUserId(userId) && isCaller(caller)
  return (
    isNamed &&
    isOptionalText(command.keyHash) &&
    isOptionalText(command.requestHash) &&
    isOptionalText(command.trace) &&
    MEMBERS[type](command as Record<string, unknown>)
  )
}
