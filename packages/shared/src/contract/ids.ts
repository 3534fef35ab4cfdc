import { randomFillSync } from 'node:crypto'
import { MAX_USER_ID_LENGTH } from './limits.js'

/** True for an integer from 1 to 2^53-1. Only such a number can be the id of an event. */
export function isEventId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

// Control characters (Cc) would break logs and CSV; lone surrogates (Cs) cannot be stored as UTF-8.
const forbiddenInUserId = /[\p{Cc}\p{Cs}]/u

/** True for a string of 1 to 128 code points without control characters or lone surrogates. */
export function isUserId(value: unknown): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 2 * MAX_USER_ID_LENGTH)
    return false
  if (value.length > MAX_USER_ID_LENGTH && [...value].length > MAX_USER_ID_LENGTH) return false
  return !forbiddenInUserId.test(value)
}

// Invisible characters make an id look like another one, or reverse the order of its letters. A
// joiner between two emoji is allowed, because its effect is visible: it makes them one picture.
const emojiJoiner =
  /(?<=\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]*)\u200D(?=\p{Extended_Pictographic})/gu
const invisible = /[\p{Cf}\p{Zl}\p{Zp}]/u
const outerWhiteSpace = /^\p{White_Space}|\p{White_Space}$/u

/**
 * True for a user id that can be chosen for a new account: in NFC, without invisible characters,
 * and without white space at its ends. `.` and `..` are refused because clients resolve them in
 * `/users/:userId/…`, so no admin could disable such an account. Tokens of other issuers and
 * requests of staff may name any user id.
 */
export function isRegistrableUserId(value: unknown): value is string {
  if (!isUserId(value) || value === '.' || value === '..') return false
  if (value.normalize('NFC') !== value || outerWhiteSpace.test(value)) return false
  return !invisible.test(value.replace(emojiJoiner, ''))
}

const randomPool = Buffer.allocUnsafe(4096)
let randomOffset = randomPool.length

/**
 * 60 random bits in base 36. They come from a pool, because a call to the kernel would be most of
 * the cost of an id.
 */
function randomPart(): string {
  if (randomOffset + 8 > randomPool.length) {
    randomFillSync(randomPool)
    randomOffset = 0
  }
  const bits = randomPool.readBigUInt64BE(randomOffset) >> 4n
  randomOffset += 8
  return bits.toString(36).padStart(12, '0')
}

/**
 * Creates a BullMQ job id: `<line>.<time and randomness>.<number of commands>`.
 *
 * A poll finds the queue of a command by the line in the id. The number of commands lets the length
 * of a line be counted from ids alone. Time comes first in the middle part, so that the index of
 * `commands` grows at its end. BullMQ refuses ids that have only digits and ids that contain `:`.
 * An id of this form has letters and no `:`.
 */
export function newJobId(lineName: string, commandCount: number, nowMs: number): string {
  return `${lineName}.${nowMs.toString(36).padStart(9, '0')}${randomPart()}.${commandCount}`
}

/** The id of one command, which clients know as `jobId`. The index starts at 0. */
export function commandIdOf(jobId: string, index: number): string {
  return `${jobId}.${index}`
}

/** The parts of a command id. */
export interface CommandAddress {
  lineName: string
  jobId: string
  index: number
}

const commandIdPattern =
  /^((?:event|line)-(?:0|[1-9]\d{0,15}))\.([0-9a-z]{21})\.([1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/

/** Splits a command id into its parts; `undefined` if `newJobId` cannot have created it. */
export function parseCommandId(commandId: string): CommandAddress | undefined {
  const match = commandIdPattern.exec(commandId)
  if (match === null) return undefined
  const [, lineName, middle, count, index] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
  ]
  if (Number(index) >= Number(count)) return undefined
  return { lineName, jobId: `${lineName}.${middle}.${count}`, index: Number(index) }
}

/** The line in the id of a job or of a command. */
export function lineNameIn(id: string): string {
  return id.slice(0, id.indexOf('.'))
}

/** The id of the job that carries the command with this id. */
export function jobIdOf(commandId: string): string {
  return commandId.slice(0, commandId.lastIndexOf('.'))
}

/** How many commands the job with this id carries. */
export function commandCountOf(jobId: string): number {
  return Number(jobId.slice(jobId.lastIndexOf('.') + 1))
}

/** When a job id was created, ms since 1970, by the clock of the API process that created it. */
export function jobCreatedAtMs(jobId: string): number {
  const middle = jobId.split('.')[1] ?? ''
  return Number.parseInt(middle.slice(0, 9), 36)
}
