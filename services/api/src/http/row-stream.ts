export interface RowSource<Row> {
  /** The text before the first row. */
  head: string
  /** The first rows, which the caller has already read. */
  first: Row[]
  /** All further rows. Each array is sent as one chunk. */
  rest: AsyncGenerator<Row[]>
  /** Writes a row, with its line end. */
  lineOf: (row: Row) => string
  /** The download ends if its client reads nothing for this long, ms. */
  stallTimeoutMs: number
  /** Maximum duration of a download, ms. A snapshot keeps VACUUM from removing old rows. */
  timeoutMs: number
  /** Called with the reason when a download fails. The client sees its connection close. */
  onError: (error: unknown) => void
  /** Called once when the download ends, for any reason, before the client notices the end. */
  onEnd: () => Promise<void>
}

/**
 * Creates the body of a download. It requests rows only as fast as the client reads. It ends the
 * source of rows when the client disconnects, when the client reads nothing for `stallTimeoutMs`,
 * and after `timeoutMs`.
 */
export function rowStream<Row>(source: RowSource<Row>): ReadableStream<Uint8Array> {
  const { rest, lineOf, stallTimeoutMs, timeoutMs, onError, onEnd } = source
  const encoder = new TextEncoder()
  let ended = false
  let stall: NodeJS.Timeout | undefined
  let deadline: NodeJS.Timeout | undefined
  const lines = (rows: Row[]): string => rows.map(lineOf).join('')

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
    // A failing stream does not cancel its source, which may hold a database connection. End the
    // source here, and let the next download start only afterwards.
    rest.return(undefined).catch(onError).then(end)
    ended = true
  }

  function send(controller: ReadableStreamDefaultController, text: string): void {
    controller.enqueue(encoder.encode(text))
    // If a client stays connected but reads nothing, the stream gets no event. Only a timer
    // notices.
    stall = setTimeout(
      () => fail(controller, new Error(`The client read nothing for ${stallTimeoutMs} ms.`)),
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
        send(controller, source.head + lines(source.first))
      },
      async pull(controller) {
        clearTimeout(stall)
        try {
          const { done, value } = await rest.next()
          // The client disconnected, or the time ran out, while the rows were fetched.
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
    // Fetch no rows ahead of the reader.
    { highWaterMark: 0 },
  )
}
