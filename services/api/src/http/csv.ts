/*
 * Writes lists as CSV (RFC 4180) that is safe to open in a spreadsheet: no field runs as a formula,
 * and no id changes (docs/integrating.md, "Lists").
 *
 * Text that a spreadsheet could read as a formula, a number or a date is prefixed with an
 * apostrophe.
 * Some spreadsheets split fields at other separators than the comma and then ignore our quotes, so
 * text after such a separator is treated like the start of a field. To restore a value, remove one
 * apostrophe at its start and one after each separator.
 */

/** Characters at which a spreadsheet may split a line, depending on its locale. */
const SEPARATORS = ',;|\\t\\r\\n\\v\\f\\u0085\\u2028\\u2029'
/**
 * Characters that start a formula, including U+2212 and the full-width forms of East Asian locales.
 */
const FORMULA_STARTS = '=+\\-@\u2212\uFE62\uFE63\uFE66\uFE6B\uFF1D\uFF0B\uFF0D\uFF20'
/**
 * Places that need an apostrophe. Leading blanks and quotes are skipped, because an importer may
 * drop them. An apostrophe of the value itself gets another one, so that a reader can restore the
 * exact value.
 */
const RISKY_START = new RegExp(
  `(?<=^|[${SEPARATORS}])(?=[\\s"]*['${FORMULA_STARTS}]|[\\t\\r\\n])`,
  'gu',
)

/** `3-1`, `007`, `1e5`, `(5)`, `.5`, `$3`, in digits of any script. */
const NUMBER_OR_DATE = /^[\s.,:(/%\p{Sc}]*\p{Nd}/u
/** A booking id whose event id has five digits or more. No spreadsheet reads that as a year. */
const LONG_BOOKING_ID = /^\d{5,}-\d+$/
/** `MAR1`, `Sept-2`, `mai 2026`. */
const MONTH_AND_NUMBER = /^\s*(\p{L}{3,10})[\s./-]*\p{Nd}/u
const MONTHS = new Set(
  `jan january januar janvier janv enero ene gennaio gen janeiro januari
  feb february februar février fevrier févr fevr febrero febbraio fevereiro fev februari
  mar march märz mär mrz mars marzo março maart mrt marts
  apr april avril avr abril abr aprile
  may mai mayo maggio mag maio mei maj
  jun june juni juin junio giugno giu junho
  jul july juli juillet juil julio luglio lug julho
  aug august août aout agosto ago augustus augusti
  sep sept september septembre septiembre settembre set setembro
  oct okt october oktober octobre octubre ottobre ott outubro out
  nov november novembre noviembre novembro
  dec dez déc dic des december dezember décembre decembre diciembre dicembre dezembro desember`.split(
    /\s+/,
  ),
)

/** A string stays text in a spreadsheet. A `Date` may be read as a time. */
export type CsvValue = string | number | boolean | Date

/** Writes one field, as described at the top of this file. */
export function csvField(value: CsvValue): string {
  if (value instanceof Date) return value.toISOString()
  if (typeof value !== 'string') return String(value)
  let text = value.replace(RISKY_START, "'")
  if (looksLikeNumberOrDate(text)) text = `'${text}`
  return text === value && !/[",\r\n]/.test(text) ? text : `"${text.replaceAll('"', '""')}"`
}

function looksLikeNumberOrDate(text: string): boolean {
  if (LONG_BOOKING_ID.test(text)) return false
  if (NUMBER_OR_DATE.test(text)) return true
  const month = MONTH_AND_NUMBER.exec(text)?.[1]
  return month !== undefined && MONTHS.has(month.toLowerCase())
}

/** Writes one line with its line end. */
export function csvLine(values: readonly CsvValue[]): string {
  return `${values.map(csvField).join(',')}\r\n`
}
