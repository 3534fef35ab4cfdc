/**
 * A PostgreSQL array literal of numbers, booleans, nulls and strings. It is JSON in braces. This is
 * correct as long as no string contains a control character, and ids never do. The driver's own
 * escaping would take a tenth of the worker's time.
 */
export function arrayOf(values: readonly (string | number | boolean | null)[]): string {
  return `{${JSON.stringify(values).slice(1, -1)}}`
}

/**
 * The same for values of which most are null. If all are, it is the empty array, which `unnest` fills
 * up with nulls to the length of the longest one.
 */
export function sparseArrayOf(values: readonly (string | null)[]): string {
  return values.every((value) => value === null) ? '{}' : arrayOf(values)
}
