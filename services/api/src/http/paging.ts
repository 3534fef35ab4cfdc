import type { Context } from 'hono'
import { z } from 'zod'
import type { AppEnv } from './env.js'
import { shownAs } from './schemas.js'

/**
 * Encodes the `next` of a list: the kind of list and the last key of the page. The kind lets one
 * list refuse the cursor of another. Clients must treat the cursor as opaque, so its form may
 * change.
 */
export function encodeCursor(list: string, lastKey: number | string): string {
  return Buffer.from(`${list}:${lastKey}`).toString('base64url')
}

/** @returns the last key of the previous page; `undefined` if this is not a cursor of the list */
export function decodeCursor(list: string, cursor: string): number | undefined {
  const key = Number(keyTextOf(list, cursor) ?? Number.NaN)
  return Number.isSafeInteger(key) && key >= 1 && encodeCursor(list, key) === cursor
    ? key
    : undefined
}

/** Like {@link decodeCursor}, for a list whose keys are strings. */
export function decodeTextCursor(
  list: string,
  cursor: string,
  isKey: (key: unknown) => boolean,
): string | undefined {
  const key = keyTextOf(list, cursor)
  return key !== undefined && isKey(key) && encodeCursor(list, key) === cursor ? key : undefined
}

function keyTextOf(list: string, cursor: string): string | undefined {
  const text = Buffer.from(cursor, 'base64url').toString()
  return text.startsWith(`${list}:`) ? text.slice(list.length + 1) : undefined
}

/** Cuts a page from rows. The rows were read with a limit that is one higher than the page's. */
export function cutPage<Row>(
  list: string,
  rows: Row[],
  limit: number,
  keyOf: (row: Row) => number | string,
): { page: Row[]; next: string | null } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return {
    page,
    next: rows.length > limit && last !== undefined ? encodeCursor(list, keyOf(last)) : null,
  }
}

/**
 * The `Link` header that leads to the next page (RFC 8288), for the headers of a response. The link
 * repeats the query parameters of the request, so that a client can follow it as it is.
 *
 * @param next `after` of the next page; null if this page is the last one
 * @param more further query parameters
 */
export function nextLink(
  c: Context<AppEnv>,
  next: string | number | null,
  more: Record<string, string> = {},
): { link?: string } {
  if (next === null) return {}
  const query = new URLSearchParams({ ...c.req.query(), after: String(next), ...more })
  return { link: `<${c.req.path}?${query}>; rel="next"` }
}

/** Detail of the error for an `after` that is not a cursor of the list. */
export const NO_CURSOR = 'is not a `next` of this list'

/**
 * The query parameter `after` of a list. It is parsed to the last key of the previous page.
 *
 * @param start the value if the parameter is absent: one that sorts before every key
 */
export function afterParameter<Key>(
  start: Key,
  decode: (cursor: string) => Key | undefined,
): z.ZodType<Key> {
  return z
    .string()
    .optional()
    .transform((cursor, context) => {
      if (cursor === undefined) return start
      const key = decode(cursor)
      if (key !== undefined) return key
      context.addIssue(NO_CURSOR)
      return z.NEVER
    })
    .meta({ description: '`next` of the previous page.' })
}

/** The query parameter `limit` of a list. */
export function limitParameter(max: number) {
  const error = { error: `must be an integer from 1 to ${max}` }
  return z
    .string()
    .regex(/^[1-9]\d{0,3}$/, error)
    .refine((limit) => Number(limit) <= max, error)
    .default('50')
    .transform(Number)
    .meta({
      description: `Maximum number of items on the page, 1 to ${max}.`,
      example: 50,
      override: shownAs({ type: 'integer', minimum: 1, maximum: max, default: 50 }),
    })
}

/** A query parameter with one or more of these words, separated by commas. */
export function wordsParameter<const Word extends string>(words: readonly Word[]) {
  const error = `must be one or more of ${words.join(', ')}, separated by commas`
  return z
    .string()
    .transform((text, context): readonly Word[] => {
      const chosen = text.split(',')
      const known = words.filter((word) => chosen.includes(word))
      if (known.length === chosen.length) return known
      context.addIssue(error)
      return z.NEVER
    })
    .meta({
      override: shownAs({ type: 'array', items: { type: 'string', enum: [...words] } }),
    })
}

/** The query parameters `limit` and `after` of a list whose keys are numbers. */
export function pageQuery(list: string) {
  return z.object({
    limit: limitParameter(1000),
    after: afterParameter(0, (cursor) => decodeCursor(list, cursor)),
  })
}

/** The `next` of a page. */
export const nextSchema = z
  .string()
  .nullable()
  .meta({ description: 'The `after` of the next page; null on the last page.' })
