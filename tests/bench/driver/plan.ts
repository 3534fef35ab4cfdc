/** The driver's instructions, sent to its process. */
export interface DriverPlan {
  targets: { host: string; port: number }[]
  /** Keep-alive connections, spread evenly over the targets. */
  connections: number
  jwtSecret: string
  traffic: Traffic
  load: Load
}

/** The requests of a run. */
export type Traffic =
  /** Users `u0`, `u1`, … book once each. {@link eventOf} is the event of a user. */
  | {
      kind: 'bookings'
      firstEventId: number
      events: number
      /** How many of ten requests cancel. They cancel the oldest claims first. */
      cancelsInTen: number
      /** Number of users `h0`, `h1`, … who hold tickets at the start and cancel first. */
      holders: number
      /**
       * Number of users `w0`, `w1`, … on the waiting list at the start. They cancel after the
       * holders, who have got them promoted. Default: 0.
       */
      waiters?: number
      /**
       * Number of the first user and of the first holder, if an event has more of them than a run
       * needs. Default: 0.
       */
      offset?: number
      /** Number of requests signed before the start. The run ends early if they are used up. */
      prepared: number
      /**
       * This many of the first bookings are for the first event, so that the warm-up opens no
       * other.
       */
      onFirstEvent: number
      /** Sent with every request instead of a token of its user. No request cancels then. */
      apiKey?: string
    }
  /**
   * `GET /events/:eventId/me` of random users among `w0`, `w1`, …, who are on the waiting list in
   * this order.
   */
  | { kind: 'positions'; eventId: number; waiters: number; prepared: number }
  /** A call of random users among `u0`, `u1`, … and, if it is for one event, of a random one. */
  | { kind: 'reads'; call: ReadCall; events: number; users: number; prepared: number }
  /** Staff read these paths in turn. Every right answer contains `part`. */
  | { kind: 'pages'; paths: string[]; part: string; prepared: number }
  /**
   * Staff follow the changes of an event with long polls. The first request of a connection waits
   * for changes after `after`, each further one for changes after the last one that came.
   */
  | { kind: 'polls'; eventId: number; after: number; prepared: number }
  /**
   * Users `u0`, `u1`, … hold a ticket of an event that has holds, and confirm it. The users who
   * have held one the longest confirm first, one for each new hold.
   */
  | { kind: 'holds'; eventId: number; prepared: number }
  /** Bookings for another user. The API refuses them with 403 just before the line. */
  | { kind: 'forbidden'; eventId: number; prepared: number }

/** The calls that are measured with many rows in the tables. */
export const READ_CALLS = ['/events', '/me/bookings', '/events/:eventId'] as const
export type ReadCall = (typeof READ_CALLS)[number]

/**
 * In a closed loop each connection sends its next request when it has a response. In an open loop
 * requests are sent when they are due. Both start with a closed loop that is not measured, in which
 * the JIT compilers do most of their work.
 */
export type Load =
  | { kind: 'closed'; warmUpMs: number; measuredMs: number }
  /** `half` means half of the rate that a closed loop reached after the warm-up. */
  | { kind: 'open'; ratePerSecond: number | 'half'; warmUpMs: number; measuredMs: number }

/** Result codes of single requests. */
export const result = {
  notSent: 0,
  booked: 1,
  waiting: 2,
  canceled: 3,
  withdrawn: 4,
  found: 5,
  forbidden: 6,
  held: 7,
  confirmed: 8,
  unanswered: 254,
  wrong: 255,
} as const

export interface DriverReport {
  /** Responses in the window. */
  answered: number
  windowMs: number
  p50Ms: number
  p95Ms: number
  p99Ms: number
  maxMs: number
  /** Open loop only: the planned rate. */
  ratePerSecond?: number
  /** Open loop only: 99th percentile of the time from due to sent. */
  latenessP99Ms?: number
  /** CPU time of the driver itself in the window. */
  cpuMs: number
  /** Result codes by number of the user, warm-up included. */
  booked: Uint8Array
  /** Result codes by number of the cancellation, warm-up included. */
  canceled: Uint8Array
  /** The first few unexpected responses. */
  wrongAnswers: { status: number; body: string }[]
}

export type DriverMessage =
  /** The measured window begins or ends now. */
  | { type: 'window'; edge: 'start' | 'end' }
  | { type: 'report'; report: DriverReport }
  | { type: 'failed'; message: string }

/** The event that a user books. */
export function eventOf(user: number, traffic: Traffic & { kind: 'bookings' }): number {
  return user < traffic.onFirstEvent
    ? traffic.firstEventId
    : traffic.firstEventId + scatter(user, traffic.events)
}

/**
 * Spreads consecutive numbers evenly over 0 to `buckets` - 1 without a pattern, with the finalizer
 * of MurmurHash3.
 */
export function scatter(value: number, buckets: number): number {
  let hash = value + 1
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % buckets
}

/** The user of a booking. */
export function bookerOf(booking: number, { offset = 0 }: Traffic & { kind: 'bookings' }): string {
  return `u${offset + booking}`
}

/**
 * @returns the user of the n-th cancellation: first the holders, then those who waited at the
 * start, then those who booked, in order
 */
export function cancelerOf(
  cancel: number,
  traffic: Traffic & { kind: 'bookings' },
): { user: string; booking: number | undefined } {
  const { holders, waiters = 0, offset = 0 } = traffic
  if (cancel < holders) return { user: `h${offset + cancel}`, booking: undefined }
  const rest = cancel - holders
  if (rest < waiters) return { user: `w${rest}`, booking: undefined }
  return { user: bookerOf(rest - waiters, traffic), booking: rest - waiters }
}
