/** What the driver process is asked to do, and what it tells; both cross a process border. */
export interface DriverPlan {
  targets: { host: string; port: number }[]
  /** Keep-alive connections, spread evenly over the targets. */
  connections: number
  jwtSecret: string
  asks: Asks
  load: Load
}

/** What is asked. Users `u0`, `u1`, … book once each; the event of a user is {@link eventOf}. */
export type Asks =
  | {
      kind: 'bookings'
      firstEventId: number
      events: number
      /** How many of ten requests cancel, oldest claim first. */
      cancelsInTen: number
      /** Users `h0`, `h1`, … who hold tickets from the start and cancel before the others. */
      holders: number
      /** Requests made and signed before the start; the run ends early when they are used up. */
      prepared: number
      /** So many of the first bookings are all of the first event: a warm-up that opens nothing else. */
      onFirstEvent: number
    }
  /** `GET /events/1/me` of random ones of the users `w0`, `w1`, … who wait in that order. */
  | { kind: 'positions'; eventId: number; waiters: number; prepared: number }
  /** Bookings for somebody else, which only staff may make: refused as the last thing before the line. */
  | { kind: 'forbidden'; eventId: number; prepared: number }

/**
 * Closed: each connection asks again when it was answered. Open: requests come when they are due, whatever was answered.
 * Both begin with a closed loop that is not measured, until compilers have done most of their work.
 */
export type Load =
  | { kind: 'closed'; warmUpMs: number; measuredMs: number }
  /** `half`: half of what a closed loop reached at the end of the warm-up. */
  | { kind: 'open'; ratePerSecond: number | 'half'; warmUpMs: number; measuredMs: number }

/** Result codes of single requests; 0 was never sent. */
export const result = {
  notSent: 0,
  booked: 1,
  waiting: 2,
  canceled: 3,
  withdrawn: 4,
  found: 5,
  forbidden: 6,
  unanswered: 254,
  wrong: 255,
} as const

export interface DriverReport {
  /** Requests answered in the window, and its length. */
  answered: number
  windowMs: number
  p50Ms: number
  p95Ms: number
  p99Ms: number
  maxMs: number
  /** Open loop only: the rate that was asked for, and how late after the due times requests were begun. */
  ratePerSecond?: number
  latenessP99Ms?: number
  /** Processor time of the driver itself in the window. */
  cpuMs: number
  /** By number of the user or of the cancel, for all requests from the first of the warm-up on. */
  booked: Uint8Array
  canceled: Uint8Array
  /** Some of the answers that nobody expected. */
  wrongAnswers: { status: number; body: string }[]
}

export type DriverMessage =
  /** The measured window begins or ends now. */
  | { type: 'window'; edge: 'start' | 'end' }
  | { type: 'report'; report: DriverReport }
  | { type: 'failed'; message: string }

/** The event that a user books. */
export function eventOf(user: number, asks: Asks & { kind: 'bookings' }): number {
  return user < asks.onFirstEvent
    ? asks.firstEventId
    : asks.firstEventId + scatter(user, asks.events)
}

/** Spreads numbers evenly over 0 to `buckets` - 1, without a pattern in time (the finalizer of MurmurHash3). */
export function scatter(value: number, buckets: number): number {
  let hash = value + 1
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % buckets
}

/** Who the n-th cancel is for: the holders first, then those who booked, in their order. */
export function cancelerOf(
  cancel: number,
  holders: number,
): { user: string; booking: number | undefined } {
  if (cancel < holders) return { user: `h${cancel}`, booking: undefined }
  return { user: `u${cancel - holders}`, booking: cancel - holders }
}
