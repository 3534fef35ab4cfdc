/**
 * The opaque `next` of a list: the kind of list and the last key shown, so that one list's cursor is refused by
 * another. Opaque, since what stands in it is ours to change.
 */
export function encodeCursor(list: string, lastKey: number | string): string {
  return Buffer.from(`${list}:${lastKey}`).toString('base64url')
}

/** The last key shown; `undefined` for anything that is no cursor of this list. */
export function decodeCursor(list: string, cursor: string): number | undefined {
  const text = Buffer.from(cursor, 'base64url').toString()
  const key = text.startsWith(`${list}:`) ? Number(text.slice(list.length + 1)) : Number.NaN
  return Number.isSafeInteger(key) && key >= 1 && encodeCursor(list, key) === cursor
    ? key
    : undefined
}

/** As {@link decodeCursor}, for a list whose keys are texts. */
export function decodeTextCursor(
  list: string,
  cursor: string,
  isKey: (key: unknown) => boolean,
): string | undefined {
  const text = Buffer.from(cursor, 'base64url').toString()
  const key = text.startsWith(`${list}:`) ? text.slice(list.length + 1) : undefined
  return key !== undefined && isKey(key) && encodeCursor(list, key) === cursor ? key : undefined
}

/** One page of rows read with one more than fits, and the cursor of the next page. */
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
