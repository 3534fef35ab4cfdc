/** Bounds of a password, in characters (code points). */
export const MIN_PASSWORD_LENGTH = 8
export const MAX_PASSWORD_LENGTH = 128

/**
 * True for a string of 8 to 128 code points that is valid Unicode: a lone surrogate would reach the hash as U+FFFD,
 * and so would every other one.
 */
export function isPassword(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 2 * MAX_PASSWORD_LENGTH || !value.isWellFormed())
    return false
  const length = [...value].length
  return length >= MIN_PASSWORD_LENGTH && length <= MAX_PASSWORD_LENGTH
}
