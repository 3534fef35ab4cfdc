/*
 * Writes lists so that opening one in a spreadsheet runs nothing and changes no id
 * (docs/operations.md, "Downloads of lists").
 *
 * Fields follow RFC 4180. An apostrophe is put in front of text that a spreadsheet could take for a
 * formula, a number or a date. A spreadsheet may also split fields at other separators than the
 * comma, and then ignores our quotes, so text after such a separator is treated like the start of a
 * field. To read the value back, remove one apostrophe at the start and after each separator.
 */

/** Characters at which some spreadsheet, in some locale, splits a line. */
const SEPARATORS = ',;|\\t\\r\\n\\v\\f\\u0085\\u2028\\u2029'
/**
 * Characters that start a formula, including full-width ones, which East Asian locales accept, and
 * U+2212.
 */
const FORMULA_STARTS = '=+\\-@\u2212\uFE62\uFE63\uFE66\uFE6B\uFF1D\uFF0B\uFF0D\uFF20'
/**
 * Places that need an apostrophe. Blanks and quotes do not count as the start, since an importer
 * may drop them. An apostrophe of the value itself gets another one, so that reading back is exact.
 */
const RISKY_START = new RegExp(
  `(?<=^|[${SEPARATORS}])(?=[\\s"]*['${FORMULA_STARTS}]|[\\t\\r\\n])`,
  'gu',
)

/** `3-1`, `007`, `1e5`, `(5)`, `.5`, `$3`, in digits of any script. */
const NUMBER_OR_DATE = /^[\s.,:(/%\p{Sc}]*\p{Nd}/u
/** A booking id of an event with five digits or more. No spreadsheet has years that long. */
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

/** A text is an id and stays one in a spreadsheet; a `Date` may be read as the time it is. */
export type CsvValue = string | number | boolean | Date

/** One field (see the top of this file). */
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

/** One line by RFC 4180, with its line end. */
export function csvLine(values: readonly CsvValue[]): string {
  return `${values.map(csvField).join(',')}\r\n`
}

export interface CsvSource<Row> {
  columns: readonly string[]
  /** The first portion, which the caller has taken already. */
  first: Row[]
  /** All further portions; each goes out as one piece. */
  rest: AsyncGenerator<Row[]>
  toFields: (row: Row) => readonly CsvValue[]
  /** A download whose client takes nothing for this long is cut, ms. */
  stallTimeoutMs: number
  /**
   * A download that takes longer than this is cut, ms. Its snapshot keeps VACUUM from cleaning up.
   */
  timeoutMs: number
  /** Called with the reason when a download breaks off; the client sees its connection end. */
  onError: (error: unknown) => void
  /** Called once when the download ends for any reason, before the client sees the end. */
  onEnd: () => Promise<void>
}

/**
 * A CSV stream that asks for rows only as fast as the client reads. It ends their source when the
 * client goes away, when the client takes nothing for `stallTimeoutMs`, and after `timeoutMs`.
 */
export function csvStream<Row>(source: CsvSource<Row>): ReadableStream<Uint8Array> {
  const { rest, toFields, stallTimeoutMs, timeoutMs, onError, onEnd } = source
  const encoder = new TextEncoder()
  let ended = false
  let stall: NodeJS.Timeout | undefined
  let deadline: NodeJS.Timeout | undefined
  const lines = (rows: Row[]): string => rows.map((row) => csvLine(toFields(row))).join('')

  async function end(): Promise<void> {
    ended = true
    clearTimeout(stall)
    clearTimeout(deadline)
    await onEnd().catch(onError)
  }

  function fail(controller: ReadableStreamDefaultController, error: unknown): void {
    if (ended) return
    onError(error)
    controller.error(new Error('The export ended early.'))
    // The stream does not cancel its source when it fails, so end the source here: it holds a
    // connection to the database. Only then another download may take its place.
    rest.return(undefined).catch(onError).then(end)
    ended = true
  }

  function send(controller: ReadableStreamDefaultController, text: string): void {
    controller.enqueue(encoder.encode(text))
    // While a client reads nothing but stays connected, the server asks for no more rows and gets
    // no event, so only a timer notices.
    stall = setTimeout(
      () => fail(controller, new Error(`The client took nothing for ${stallTimeoutMs} ms.`)),
      stallTimeoutMs,
    )
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        deadline = setTimeout(
          () => fail(controller, new Error(`The download took longer than ${timeoutMs} ms.`)),
          timeoutMs,
        )
        send(controller, csvLine(source.columns) + lines(source.first))
      },
      async pull(controller) {
        clearTimeout(stall)
        try {
          const { done, value } = await rest.next()
          // The client left, or the time ran out, while the rows were fetched.
          if (ended) return
          if (!done) return send(controller, lines(value))
          await end()
          controller.close()
        } catch (error) {
          fail(controller, error)
        }
      },
      async cancel() {
        if (ended) return
        ended = true
        clearTimeout(stall)
        await rest.return(undefined).catch(onError)
        await end()
      },
    },
    // Nothing is fetched ahead of the reader.
    { highWaterMark: 0 },
  )
}
