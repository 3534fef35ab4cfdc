export type CommandType = 'book' | 'cancel'

/** A response as the client received it. */
export interface Answer {
  status: number
  /** The job that the answer names, if it names one. */
  jobId?: string
  /** `Idempotency-Replayed: true`. */
  replayed: boolean
  retryAfter?: string
  // biome-ignore lint/suspicious/noExplicitAny: the checker reads bodies of every shape
  body: any
}

/**
 * Why a client received no answer: the connection was refused (`refused`), the client hung up
 * (`left`), the connection broke after something was sent (`broken`), or no answer arrived in time
 * (`silence`).
 */
export type Failure = 'refused' | 'left' | 'broken' | 'silence'

interface Call {
  /** Milliseconds of the monotonic clock of the rig. */
  sentAtMs: number
  endedAtMs: number
  /** Name of the API process. */
  api: string
  answer?: Answer
  failure?: Failure
}

/** One `POST /book` or `POST /cancel`. */
export interface CommandCall extends Call {
  kind: 'command'
  type: CommandType
  eventId: number
  userId: string
  /** The user, or the member of staff who sent the command for the user. */
  caller: string
  key?: string
}

/** One `GET /jobs/:jobId`. */
export interface JobCall extends Call {
  kind: 'job'
  jobId: string
  /** True if it was sent after the last fault, when every promise must be kept. */
  final: boolean
}

/** One `GET /status/:eventId`. */
export interface StatusCall extends Call {
  kind: 'status'
  eventId: number
  final: boolean
}

/** A whole list of an event, read by staff page by page after the last fault. */
export interface ListRead {
  eventId: number
  list: 'bookings' | 'waiting-list'
  items: { userId: string; promoted?: boolean; position?: number }[]
}

export interface HistoryEvent {
  eventId: number
  totalTickets: number
}

/** Every request of a run, with its answer and its times. */
export interface History {
  events: HistoryEvent[]
  commands: CommandCall[]
  jobs: JobCall[]
  statuses: StatusCall[]
  lists: ListRead[]
}

export const createHistory = (): History => ({
  events: [],
  commands: [],
  jobs: [],
  statuses: [],
  lists: [],
})
