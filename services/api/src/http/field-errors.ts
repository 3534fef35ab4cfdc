import type { FieldError } from '@ticket-line/shared'
import type { z } from 'zod'

/** A body may name thousands of unknown members; the client learns of the first. */
export const MAX_ERRORS = 20

/** JSON pointer of a path (RFC 6901, section 3). */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

function isMissing(path: readonly PropertyKey[], value: unknown): boolean {
  let at = value
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return true
    at = (at as Record<PropertyKey, unknown>)[part]
  }
  return false
}

/** The faults that a schema found in a value, as they go to the client. */
export function fieldErrors(error: z.ZodError, value: unknown): FieldError[] {
  const errors = error.issues.flatMap((issue): FieldError[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        pointer: jsonPointer([...issue.path, key]),
        detail: 'is not a known member',
      }))
    }
    const detail = isMissing(issue.path, value) ? 'is required' : issue.message
    return [{ pointer: jsonPointer(issue.path), detail }]
  })
  return errors.slice(0, MAX_ERRORS)
}
