/** SQL of times. In code, times are numbers. The driver would parse a `timestamptz` into a Date. */

/** SQL of a time as ms since 1970. */
export const msOf = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::float8`

/** SQL of columns that are times, each as ms since 1970, under their own names. */
export const msColumns = (...columns: string[]): string =>
  columns.map((column) => `${msOf(column)} AS ${column}`).join(', ')

/** SQL of a time as µs since 1970, which is exact. */
export const usOf = (time: string): string => `(extract(epoch FROM ${time}) * 1000000)::bigint`

/** SQL of PostgreSQL's clock. It is rounded down, so that no time counts as reached too early. */
export const NOW_MS = `floor(extract(epoch FROM now()) * 1000)::float8 AS now_ms`

/** SQL of a time that is given in ms since 1970, and is not centuries away. */
export const timeOf = (ms: string): string => `to_timestamp(${ms} / 1000)`

/** SQL of any time that is given in ms since 1970. `to_timestamp` alone may round the ms. */
export const exactTimeOf = (ms: string): string =>
  `to_timestamp(floor(${ms} / 1000)) + (${ms} - floor(${ms} / 1000) * 1000) * interval '1 millisecond'`

/**
 * SQL of a time that is given in µs since 1970. It adds whole hours first, because the product of
 * an interval is computed in floats, which are not exact for more than 285 years in µs.
 */
export function timeOfUs(us: string): string {
  const hour = '3600000000'
  return `('epoch'::timestamptz + (${us}::bigint / ${hour}) * interval '1 hour'
    + (${us}::bigint % ${hour}) * interval '1 microsecond')`
}
