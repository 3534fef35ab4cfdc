import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/**
 * Characters at each end of a text that are estimated: some hundred characters would take a second.
 */
const LOOKED_AT = 64

/**
 * Shortest text that is also read as two texts in turn. The halves of a shorter one say too little.
 */
const MIN_ALTERNATING = 16

let estimator: ZxcvbnFactory | undefined

/**
 * Estimates how many guesses a text takes, as a power of ten. The guesser knows common passwords,
 * keyboard patterns, sequences, repetitions and dates; upper case and look-alikes (`Passw0rd`)
 * hardly help. 32 random hexadecimal digits are about 31.
 *
 * @param hints words that a guesser tries first, such as the user id
 */
export function guessesLog10(text: string, hints: string[] = []): number {
  return Math.min(estimate(text, hints), ...disguises(text, hints))
}

/**
 * Estimates for the text without disguises that the estimator does not know. Each includes what the
 * disguise costs a guesser.
 */
function* disguises(text: string, hints: string[]): Generator<number> {
  const unshifted = withoutShift(text)
  if (unshifted !== text) yield estimate(unshifted, hints) + 1
  // `Spring@2026`: each symbol costs as much as any other character.
  const words = text.replace(/[^\p{L}\p{N}]/gu, '')
  if (words !== '' && words !== text) yield estimate(words, hints) + text.length - words.length
  // `a1b2c3d4`: two texts whose characters alternate.
  const [even, odd] = [0, 1].map((rest) =>
    [...text].filter((_, index) => index % 2 === rest).join(''),
  )
  if (text.length >= MIN_ALTERNATING)
    yield estimate(even ?? '', hints) + estimate(odd ?? '', hints) + 1
  const decoded = decode(text)
  if (decoded !== undefined) yield estimate(decoded, hints)
}

/** `!QAZ@WSX` as its keys are without Shift, on the keyboard of most systems. */
function withoutShift(text: string): string {
  const shifted = '!@#$%^&*()_+'
  const keys = '1234567890-='
  return text
    .toLowerCase()
    .replace(/[!@#$%^&*()_+]/g, (symbol) => keys[shifted.indexOf(symbol)] ?? symbol)
}

/**
 * The text that hexadecimal digits or base64 encode, or the first byte and the step if the bytes
 * grow in equal steps. Random bytes are neither.
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
  const isEven = bytes.every(
    (byte, index) => index === 0 || byte === (((bytes[index - 1] as number) + step) & 255),
  )
  return isEven ? `${bytes[0]} ${step}` : undefined
}

function estimate(text: string, hints: string[]): number {
  // Made at the first call, because only production calls this and the dictionaries take a while to
  // load.
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  const parts =
    text.length <= LOOKED_AT ? [text] : [text.slice(0, LOOKED_AT), text.slice(-LOOKED_AT)]
  return Math.max(...parts.map((part) => estimator?.check(part, hints).guessesLog10 ?? 0))
}
