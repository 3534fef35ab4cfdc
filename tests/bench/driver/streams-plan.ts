/** The messages between `streams.ts` and the process with the clients of streams. */
export type StreamsRequest =
  /** Opens streams of an event, one half of them of the standing of users. */
  | {
      type: 'open'
      target: { host: string; port: number }
      eventId: number
      streams: number
      jwtSecret: string
    }
  /**
   * Opens pages of an event, each with a stream. Half of the visitors are signed in. Each page is
   * then loaded again once a minute, and a signed-in visitor books after each load.
   */
  | {
      type: 'open-pages'
      target: { host: string; port: number }
      eventId: number
      pages: number
    }
  /** The measured window begins now. */
  | { type: 'start' }
  /** @param decidedAtMs when the changes from `firstNo` on were decided, ms since 1970 */
  | { type: 'report'; firstNo: number; decidedAtMs: Float64Array }
  | { type: 'close' }

export type StreamsMessage =
  | { type: 'opened' | 'started' | 'closed' }
  | { type: 'report'; report: StreamsReport }
  | { type: 'failed'; message: string }

export interface StreamsReport {
  /** How many pairs of a change and a stream were measured. */
  pairs: number
  /** Pairs of which the stream never received a state that contains the change. */
  missing: number
  /** Time from the decision of a change until a stream received a state that contains it. */
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** Updates that all streams received in the window. */
  updates: number
  /** Pages that were loaded again in the window. */
  loads: number
  /** CPU time of the clients in the window. */
  cpuMs: number
}
