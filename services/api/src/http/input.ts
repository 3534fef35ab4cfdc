import { AppError, type FieldError } from '@ticket-line/shared'
import type { Context } from 'hono'
import { z } from 'zod'
import type { AppEnv } from './env.js'

/** Maximum number of `errors` in a problem. A body may contain thousands of unknown members. */
const MAX_ERRORS = 20

/** @param errors the faults, each with a JSON pointer to its place */
export function invalidRequest(message: string, errors: FieldError[]): AppError {
  return new AppError('invalid_request', message, { errors })
}

/** Message of `invalid_request` if a part of the request does not match its schema. */
export function notValid(what: string): string {
  return `The ${what} is not valid.`
}

/**
 * Checks a value other than a body, such as path parameters.
 *
 * @param what names the value in the error message
 * @throws AppError `invalid_request`
 */
export function checkInput<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw invalidRequest(notValid(what), fieldErrors(result.error, value))
}

/**
 * Reads and checks the query parameters. Without a schema, all parameters are unknown.
 *
 * @throws AppError `invalid_request` if a parameter is unknown, repeated or invalid. If unknown
 * parameters were ignored, `?limt=5` would return a full page
 */
export function readQuery<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S | undefined,
): z.output<S> | undefined {
  const start = c.req.url.indexOf('?')
  if (start >= 0) refuseStrayParameters(c.req.url.slice(start), schema)
  return schema === undefined ? undefined : checkInput(schema, c.req.query(), 'query')
}

function refuseStrayParameters(search: string, schema: z.ZodType | undefined): void {
  const known = new Set(schema instanceof z.ZodObject ? Object.keys(schema.shape) : [])
  const names = [...new URLSearchParams(search).keys()]
  const strays = new Map<string, string>()
  for (const [index, name] of names.entries()) {
    if (!known.has(name)) strays.set(name, 'is not a known parameter')
    else if (names.indexOf(name) !== index) strays.set(name, 'is given more than once')
  }
  if (strays.size === 0) return
  const errors = [...strays].map(([name, detail]) => ({ pointer: jsonPointer([name]), detail }))
  throw invalidRequest(notValid('query'), errors.slice(0, MAX_ERRORS))
}

/** Converts the issues that a schema found in a value to the `errors` of a problem. */
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

/** Writes a path as a JSON pointer (RFC 6901, section 3). */
function jsonPointer(path: readonly PropertyKey[]): string {
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
