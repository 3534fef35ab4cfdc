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
  /** A download whose client takes nothing for this long is cut. */
  stallTimeoutMs: number
  /** Told why a download broke off; the client sees its connection end. */
  onError: (error: unknown) => void
}

/**
 * A CSV stream that asks for rows only as fast as the client reads, and ends their source when the client goes away, or
 * stays and takes nothing for `stallTimeoutMs`.
 */
export function csvStream<Row>(source: CsvSource<Row>): ReadableStream<Uint8Array> {
  const { rest, toFields, stallTimeoutMs, onError } = source
  const encoder = new TextEncoder()
  let canceled = false
  let stall: NodeJS.Timeout | undefined
  const lines = (rows: Row[]): string => rows.map((row) => csvLine(toFields(row))).join('')

  function fail(controller: ReadableStreamDefaultController, error: unknown): void {
    onError(error)
    controller.error(new Error('The export ended early.'))
  }

  function send(controller: ReadableStreamDefaultController, text: string): void {
    controller.enqueue(encoder.encode(text))
    // A server that waits for its client to read asks for nothing and hears of nothing while the connection lives.
    stall = setTimeout(() => {
      fail(controller, new Error(`The client took nothing for ${stallTimeoutMs} ms.`))
      // A stream that failed is not cancelled, and its source holds a connection to the database until it is ended.
      rest.return(undefined).catch(onError)
    }, stallTimeoutMs)
  }

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        send(controller, csvLine(source.columns) + lines(source.first))
      },
      async pull(controller) {
        clearTimeout(stall)
        try {
          const { done, value } = await rest.next()
          // The client went away while the rows were fetched.
          if (canceled) return
          if (done) controller.close()
          else send(controller, lines(value))
        } catch (error) {
          fail(controller, error)
        }
      },
      async cancel() {
        canceled = true
        clearTimeout(stall)
        await rest.return(undefined)
      },
    },
    // Nothing is fetched ahead of the reader.
    { highWaterMark: 0 },
  )
}
