import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { z } from 'zod'
import type { AppEnv } from './env.js'
import { fieldErrors, invalidRequest, notValid } from './input.js'

/** Maximum size of a request body, bytes. */
export const MAX_BODY_BYTES = 16 * 1024
/** Message of `payload_too_large`. */
export const TOO_LARGE = `The body is larger than ${MAX_BODY_BYTES} bytes.`
/** Message of `unsupported_media_type` for a body whose type is not JSON. */
export const NOT_JSON = 'The body must be sent as application/json.'

export const MERGE_PATCH = 'application/merge-patch+json'
/** Sent with a refused media type (RFC 5789, section 3.1). */
const NOT_JSON_OR_PATCH = `The body must be sent as application/json or ${MERGE_PATCH}.`
const ACCEPT_PATCH = `${MERGE_PATCH}, application/json`

export interface BodyForm {
  /** True if the body may also be a JSON merge patch (RFC 7396). */
  mergePatch?: boolean
  /** True if a request without a body and without a media type counts as `{}`. */
  optional?: boolean
}

/**
 * Reads and checks a JSON body. The size is checked first, then the media type, then the content.
 *
 * @throws AppError `payload_too_large`, `unsupported_media_type`, or `invalid_request` with
 * `errors`
 */
export async function readBody<S extends z.ZodType>(
  c: Context<AppEnv>,
  schema: S,
  { mergePatch = false, optional = false }: BodyForm = {},
): Promise<z.output<S>> {
  const bytes = await readBytes(c)
  const mediaType = c.req.header('content-type')
  if (optional && mediaType === undefined && bytes.length === 0) return check(schema, {})
  const encoding = c.req.header('content-encoding')
  if (mediaType !== 'application/json' && !isJson(mediaType ?? '', mergePatch)) {
    const headers: Record<string, string> = mergePatch ? { 'accept-patch': ACCEPT_PATCH } : {}
    throw new AppError('unsupported_media_type', mergePatch ? NOT_JSON_OR_PATCH : NOT_JSON, {
      headers,
    })
  }
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new AppError(
      'unsupported_media_type',
      'The body must be sent without a content encoding.',
    )
  }
  return check(schema, parseObject(bytes))
}

function check<S extends z.ZodType>(schema: S, value: object): z.output<S> {
  const result = schema.safeParse(value)
  if (!result.success)
    throw invalidRequest(notValid('request body'), fieldErrors(result.error, value))
  return result.data
}

/**
 * Reads a request body of at most {@link MAX_BODY_BYTES}. It stops as soon as a body is longer,
 * whether or not the client announced the length.
 *
 * @throws AppError `payload_too_large`, or `invalid_request` if the client disconnects early
 */
export async function readBytes(c: Context<AppEnv>): Promise<Uint8Array> {
  const announced = c.req.header('content-length')
  if (announced !== undefined && Number(announced) > MAX_BODY_BYTES) throw tooLarge()
  const incoming = c.env?.incoming
  return incoming === undefined ? readStream(c.req.raw.body) : readIncoming(incoming)
}

/** Reads Node's stream, because the web stream around it costs as much as the rest of a request. */
function readIncoming(incoming: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (error?: AppError): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut)
      if (error !== undefined) reject(error)
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      chunks.push(chunk)
      if (size <= MAX_BODY_BYTES) return
      settle(tooLarge())
      // The adapter discards further bytes for half a second and then closes the connection. If we
      // closed it now, the unread bytes would reset it before the client had read the response.
      incoming.pause()
    }
    const onEnd = (): void => settle()
    const onCut = (): void => settle(cutShort())
    incoming.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut)
    if (incoming.destroyed) onCut()
  })
}

async function readStream(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream ?? []) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLarge(): AppError {
  return new AppError('payload_too_large', TOO_LARGE)
}

function cutShort(): AppError {
  return new AppError('invalid_request', 'The request ended before its body was complete.')
}

// RFC 8259 defines no parameters for JSON and requires UTF-8. Some clients send parameters anyway;
// only a different charset is refused.
const JSON_MEDIA_TYPE = /^application\/json[\t ]*(?:;|$)/i
const MERGE_PATCH_MEDIA_TYPE = /^application\/merge-patch\+json[\t ]*(?:;|$)/i
const OTHER_CHARSET = /;[\t ]*charset[\t ]*=[\t ]*(?!"?utf-?8"?[\t ]*(?:;|$))/i

function isJson(mediaType: string, mergePatch: boolean): boolean {
  const isKnown =
    JSON_MEDIA_TYPE.test(mediaType) || (mergePatch && MERGE_PATCH_MEDIA_TYPE.test(mediaType))
  return isKnown && !OTHER_CHARSET.test(mediaType)
}

/**
 * @throws AppError `invalid_request` unless the body is one JSON object with unique member names
 */
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
  // JSON parsers disagree about which of two equal names counts (RFC 8259, section 4), so a proxy
  // and this service could read different values.
  if (countMembers(text) !== Object.keys(value).length)
    throw notAnObject('names a member more than once')
  return value
}

function notAnObject(detail: string): AppError {
  return invalidRequest('The request body must be a JSON object.', [{ pointer: '', detail }])
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

/**
 * Counts the members of the outermost object of a valid JSON text. A repeated name counts each
 * time.
 */
export function countMembers(json: string): number {
  let members = 0
  let depth = 0
  for (let i = 0; i < json.length; i++) {
    switch (json.charCodeAt(i)) {
      case QUOTE:
        for (i++; json.charCodeAt(i) !== QUOTE; i++) if (json.charCodeAt(i) === BACKSLASH) i++
        break
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        depth++
        break
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        depth--
        break
      case COLON:
        if (depth === 1) members++
        break
    }
  }
  return members
}
