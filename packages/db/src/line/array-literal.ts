/** The only control character in what is stored: `callerOfKey` puts it into the caller of a key. */
const ESCAPED = '\\u0001'
const ESCAPES = /\\(?:u0001|.)/g

/**
 * A PostgreSQL array literal of numbers, booleans, nulls and strings. It is JSON in braces, without
 * JSON's escape for U+0001, which PostgreSQL would read as `u0001`. This is correct as long as no
 * string contains another control character, and ids never do. The driver's own escaping would take
 * a tenth of the worker's time.
 */
export function arrayOf(values: readonly (string | number | boolean | null)[]): string {
  const json = JSON.stringify(values).slice(1, -1)
  return `{${json.includes(ESCAPED) ? json.replaceAll(ESCAPES, unescaped) : json}}`
}

function unescaped(found: string): string {
  return found === ESCAPED ? '\u0001' : found
}

/**
 * The same for values of which most are null. If all are, it is the empty array, which `unnest`
 * fills up with nulls to the length of the longest one.
 */
export function sparseArrayOf(values: readonly (string | null)[]): string {
  return values.every((value) => value === null) ? '{}' : arrayOf(values)
}
