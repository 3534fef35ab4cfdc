import { isUtf8 } from 'node:buffer'
import { AppError, type FieldError } from '@ticket-line/shared'
import type { Context } from 'hono'
import { z } from 'zod'
import { readBytes } from './body-bytes.js'
import type { AppEnv } from './env.js'
import { fieldErrors, jsonPointer, MAX_ERRORS } from './field-errors.js'
import { countMembers } from './json-members.js'

// RFC 8259: JSON has no parameters and is UTF-8 between systems, but clients send some; only another charset is a reason to
// refuse.
const JSON_MEDIA_TYPE = /^application\/json[\t ]*(?:;|$)/i
const OTHER_CHARSET = /;[\t ]*charset[\t ]*=[\t ]*(?!"?utf-?8"?[\t ]*(?:;|$))/i

/** A refusal of what the client sent, naming each fault by its place. */
export function invalidRequest(message: string, errors: FieldError[]): AppError {
  return new AppError('invalid_request', message, { errors })
}

/** Checks a value that is not a body (path parameters, query) against its schema. */
export function checkInput<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw invalidRequest(`The ${what} is not valid.`, fieldErrors(result.error, value))
}

/**
 * Reads and checks the query. Without a schema no parameter is known.
 *
 * @throws AppError `invalid_request` if a parameter is unknown, repeated or not valid. If unknown
 * ones were ignored, `?limt=5` would list everything
 */
export function readQuery<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S | undefined,
): z.output<S> | undefined {
  const start = c.req.url.indexOf('?')
  if (start >= 0) refuseStrays(c.req.url.slice(start), schema)
  return schema === undefined ? undefined : checkInput(schema, c.req.query(), 'query')
}

function refuseStrays(search: string, schema: z.ZodType | undefined): void {
  const known = new Set(schema instanceof z.ZodObject ? Object.keys(schema.shape) : [])
  const names = [...new URLSearchParams(search).keys()]
  const strays = new Map<string, string>()
  for (const [index, name] of names.entries()) {
    if (!known.has(name)) strays.set(name, 'is not a known parameter')
    else if (names.indexOf(name) !== index) strays.set(name, 'is given more than once')
  }
  if (strays.size === 0) return
  const errors = [...strays].map(([name, detail]) => ({ pointer: jsonPointer([name]), detail }))
  throw invalidRequest('The query is not valid.', errors.slice(0, MAX_ERRORS))
}

/**
 * Reads and checks a JSON body. Size is looked at before the media type, and that before the content.
 * @throws AppError `payload_too_large`, `unsupported_media_type`, `invalid_request` with `errors`
 */
export async function readBody<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S,
): Promise<z.output<S>> {
  const bytes = await readBytes(c)
  const mediaType = c.req.header('content-type') ?? ''
  const encoding = c.req.header('content-encoding')
  if (mediaType !== 'application/json' && !isJson(mediaType)) {
    throw new AppError('unsupported_media_type', 'The body must be sent as application/json.')
  }
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new AppError(
      'unsupported_media_type',
      'The body must be sent without a content encoding.',
    )
  }
  const value = parseObject(bytes)
  const result = schema.safeParse(value)
  if (!result.success)
    throw invalidRequest('The request body is not valid.', fieldErrors(result.error, value))
  return result.data
}

function isJson(mediaType: string): boolean {
  return JSON_MEDIA_TYPE.test(mediaType) && !OTHER_CHARSET.test(mediaType)
}

function notAnObject(detail: string): AppError {
  return invalidRequest('The request body must be a JSON object.', [{ pointer: '', detail }])
}

/** @throws AppError `invalid_request` for anything but one JSON object whose members are all different */
function parseObject(bytes: Uint8Array): object {
  if (!isUtf8(bytes)) throw notAnObject('is not valid UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw notAnObject('is not valid JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw notAnObject('must be an object')
  // RFC 8259, section 4: what readers make of a repeated name differs, so one of them would be fooled.
  if (countMembers(text) !== Object.keys(value).length)
    throw notAnObject('names a member more than once')
  return value
}
