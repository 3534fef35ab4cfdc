import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/**
 * Characters at each end of a text that are estimated: some hundred characters would take a second.
 */
const LOOKED_AT = 64

let estimator: ZxcvbnFactory | undefined

/**
 * Estimates how many guesses a text takes, as a power of ten. The guesser knows common passwords,
 * keyboard patterns, sequences, repetitions and dates; upper case and look-alikes (`Passw0rd`)
 * hardly help. 32 random hexadecimal digits are about 31.
 *
 * @param hints words that a guesser tries first, such as the user id
 */
export function guessesLog10(text: string, hints: string[] = []): number {
  // Made at the first call, because only production calls this and the dictionaries take a while to
  // load.
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  const parts = [text.slice(0, LOOKED_AT), text.slice(-LOOKED_AT)]
  return Math.max(...parts.map((part) => estimator?.check(part, hints).guessesLog10 ?? 0))
}
