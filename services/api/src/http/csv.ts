// What a spreadsheet takes for the start of a formula: a user may choose an id that begins so.
const FORMULA_START = /^[=+\-@\t\r＝＋－＠]/
const NEEDS_QUOTES = /[",\r\n]/

export type CsvValue = string | number | boolean

/** One field by RFC 4180. What a spreadsheet would run as a formula gets an apostrophe in front. */
export function csvField(value: CsvValue): string {
  if (typeof value !== 'string') return String(value)
  if (FORMULA_START.test(value)) return `"'${value.replaceAll('"', '""')}"`
  return NEEDS_QUOTES.test(value) ? `"${value.replaceAll('"', '""')}"` : value
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
  /** Told why a download broke off; the client sees its connection end. */
  onError: (error: unknown) => void
}

/** A CSV stream that asks for rows only as fast as the client reads, and ends their source when the client goes away. */
export function csvStream<Row>(source: CsvSource<Row>): ReadableStream<Uint8Array> {
  const { rest, toFields, onError } = source
  const encoder = new TextEncoder()
  let canceled = false
  const lines = (rows: Row[]): string => rows.map((row) => csvLine(toFields(row))).join('')
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(csvLine(source.columns) + lines(source.first)))
      },
      async pull(controller) {
        try {
          const { done, value } = await rest.next()
          // The client went away while the rows were fetched.
          if (canceled) return
          if (done) controller.close()
          else controller.enqueue(encoder.encode(lines(value)))
        } catch (error) {
          onError(error)
          controller.error(new Error('The export ended early.'))
        }
      },
      async cancel() {
        canceled = true
        await rest.return(undefined)
      },
    },
    // Nothing is fetched ahead of the reader.
    { highWaterMark: 0 },
  )
}
