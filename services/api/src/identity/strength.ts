import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'

/** The estimate takes a second for some hundred characters, so long texts are looked at in parts. */
const LOOKED_AT = 64

let estimator: ZxcvbnFactory | undefined

/**
 * How many guesses somebody needs who knows common passwords, walks over keyboards, sequences,
 * repetitions and dates, as a power of ten. Upper and lower case and look-alikes (`Passw0rd`) hardly
 * matter. 32 random hexadecimal digits are about 31.
 *
 * @param hints words that a guesser tries first, such as the user id
 */
export function guessesLog10(text: string, hints: string[] = []): number {
  // Made when it is first asked for: the lists take a while to load, and only production asks.
  estimator ??= new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  const parts = [text.slice(0, LOOKED_AT), text.slice(-LOOKED_AT)]
  return Math.max(...parts.map((part) => estimator?.check(part, hints).guessesLog10 ?? 0))
}
