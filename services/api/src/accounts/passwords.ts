import { dictionary } from '@zxcvbn-ts/language-common'

/** Minimum and maximum length of a password, in characters (code points). */
export const MIN_PASSWORD_LENGTH = 8
export const MAX_PASSWORD_LENGTH = 128

/** Number of common passwords that are refused. */
const REFUSED_PASSWORDS = 3000

/**
 * True for a string of 8 to 128 code points without lone surrogates. Every lone surrogate would
 * become U+FFFD before it is hashed, so different passwords could have the same hash.
 */
export function isPassword(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 2 * MAX_PASSWORD_LENGTH || !value.isWellFormed())
    return false
  const length = [...value].length
  return length >= MIN_PASSWORD_LENGTH && length <= MAX_PASSWORD_LENGTH
}

// The dictionary is ordered by frequency. Passwords of an invalid length do not count.
const refused = new Set(
  dictionary['passwords-common'].filter(isPassword).slice(0, REFUSED_PASSWORDS),
)

/** True for the 3,000 most common passwords of a valid length. */
export function isCommonPassword(password: string): boolean {
  return refused.has(password)
}
