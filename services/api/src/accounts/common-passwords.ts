import { dictionary } from '@zxcvbn-ts/language-common'
import { isPassword } from './passwords.js'

/** How many of the most common passwords are refused. */
const REFUSED = 3000

// The list is in order of frequency; what the length rule refuses anyway takes no place among the 3,000.
const refused = new Set(dictionary['passwords-common'].filter(isPassword).slice(0, REFUSED))

/** True for one of the 3,000 most common passwords among those that are long enough. */
export function isCommonPassword(password: string): boolean {
  return refused.has(password)
}
