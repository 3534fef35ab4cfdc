import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/**
 * Number of characters at each end of a text that are estimated. Several hundred characters would
 * take a second.
 */
const ESTIMATED_CHARACTERS = 64

/** Minimum length of a text that is also estimated as two alternating texts. */
const MIN_ALTERNATING = 16

let estimator: ZxcvbnFactory | undefined

/**
 * Estimates how many guesses an attacker needs for a text, as a power of ten. The attacker knows
 * common passwords, keyboard patterns, sequences, repetitions and dates; upper case and look-alikes
 * (`Passw0rd`) hardly help. The result for 32 random hexadecimal digits is about 31.
 *
 * @param hints words that an attacker tries first, such as the user id
 */
export function guessesLog10(text: string, hints: string[] = []): number {
  return Math.min(estimate(text, hints), ...disguises(text, hints))
}

/**
 * Removes disguises that the estimator does not know, and estimates the text that remains. Each
 * estimate includes the guesses that the disguise itself takes.
 */
function* disguises(text: string, hints: string[]): Generator<number> {
  const unshifted = withoutShift(text)
  if (unshifted !== text) yield estimate(unshifted, hints) + 1
  // `Spring@2026`: each symbol adds as many guesses as a random character.
  const words = text.replace(/[^\p{L}\p{N}]/gu, '')
  if (words !== '' && words !== text) yield estimate(words, hints) + text.length - words.length
  // `a1b2c3d4`: the characters of two texts alternate.
  const [even, odd] = [0, 1].map((remainder) =>
    [...text].filter((_, index) => index % 2 === remainder).join(''),
  )
  if (text.length >= MIN_ALTERNATING)
    yield estimate(even ?? '', hints) + estimate(odd ?? '', hints) + 1
  const decoded = decode(text)
  if (decoded !== undefined) yield estimate(decoded, hints)
}

/** What the same keys of a US keyboard type without Shift: `!QAZ@WSX` becomes `1qaz2wsx`. */
function withoutShift(text: string): string {
  const shifted = '!@#$%^&*()_+'
  const keys = '1234567890-='
  return text
    .toLowerCase()
    .replace(/[!@#$%^&*()_+]/g, (symbol) => keys[shifted.indexOf(symbol)] ?? symbol)
}

/**
 * Decodes hexadecimal digits or base64. Returns the decoded text, or the first byte and the step if
 * the bytes grow in equal steps. Random bytes give `undefined`.
 */
function decode(text: string): string | undefined {
  const encoding = /^(?:[\da-f]{2})+$/i.test(text)
    ? 'hex'
    : /^[\w+/-]+={0,2}$/.test(text)
      ? 'base64'
      : undefined
  if (encoding === undefined) return undefined
  const bytes = Buffer.from(text, encoding)
  if (bytes.length < 8) return undefined
  if (bytes.every((byte) => byte >= 0x20 && byte < 0x7f)) return bytes.toString('latin1')
  const step = (bytes[1] as number) - (bytes[0] as number)
  const hasEqualSteps = bytes.every(
    (byte, index) => index === 0 || byte === (((bytes[index - 1] as number) + step) & 255),
  )
  return hasEqualSteps ? `${bytes[0]} ${step}` : undefined
}

function estimate(text: string, hints: string[]): number {
  // Created on the first call: the dictionaries take long to load, and only production needs them.
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  const parts =
    text.length <= ESTIMATED_CHARACTERS
      ? [text]
      : [text.slice(0, ESTIMATED_CHARACTERS), text.slice(-ESTIMATED_CHARACTERS)]
  return Math.max(...parts.map((part) => estimator?.check(part, hints).guessesLog10 ?? 0))
}
