export type CommandType = 'book' | 'cancel'

/** What a client heard. */
export interface Answer {
  status: number
  /** The job that the answer names, where it names one. */
  jobId?: string
  /** `Idempotency-Replayed: true`. */
  replayed: boolean
  retryAfter?: string
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every shape are looked into
  body: any
}

/**
 * Why a client heard nothing: it never got through (`refused`), it walked away (`left`), the connection broke after
 * something was sent (`broken`), or nobody answered in time (`silence`).
 */
export type Failure = 'refused' | 'left' | 'broken' | 'silence'

interface Call {
  /** Ms on the rig's one monotonic clock. */
  sentAtMs: number
  endedAtMs: number
  /** Name of the API process that was asked. */
  api: string
  answer?: Answer
  failure?: Failure
}

/** One `POST /book` or `POST /cancel`. */
export interface CommandCall extends Call {
  kind: 'command'
  type: CommandType
  eventId: number
  /** Whom it is for, and who asked. */
  userId: string
  caller: string
  key?: string
}

/** One `GET /jobs/:jobId`. */
export interface JobCall extends Call {
  kind: 'job'
  jobId: string
  /** True for those after the last fault, when every promise must be kept. */
  final: boolean
}

/** One `GET /status/:eventId`. */
export interface StatusCall extends Call {
  kind: 'status'
  eventId: number
  final: boolean
}

/** A whole list of an event as staff read it in the end, page after page. */
export interface ListRead {
  eventId: number
  list: 'bookings' | 'waiting-list'
  items: { userId: string; promoted?: boolean; position?: number }[]
}

export interface HistoryEvent {
  eventId: number
  totalTickets: number
}

/** Every request, answer and time of a run. */
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
