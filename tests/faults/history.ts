import type { CommandType as AnyCommandType } from '@ticket-line/shared'

/** The commands that clients send. */
export type CommandType = Exclude<AnyCommandType, 'settle'>

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

/** What a request asks for. Each type of command has some of the optional members. */
export interface CommandInput {
  type: CommandType
  eventId: number
  /** The caller for `configure` and `cancel_event`. */
  userId: string
  /** The user, or the member of staff who sent the command. */
  caller: string
  key?: string
  bookingId?: string
  seconds?: number
  raiseCapacity?: boolean
  /** Settings as clients spell them. */
  patch?: EventSettings
  shrink?: boolean
}

/** One request for a command. */
export interface CommandCall extends Call, CommandInput {
  kind: 'command'
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
  list: 'bookings' | 'holds' | 'waiting-list'
  items: { userId: string; promoted?: boolean; offered?: boolean; position?: number }[]
}

/** The settings that runs use, as clients spell them. */
export interface EventSettings {
  totalTickets?: number
  holdSeconds?: number | null
  offerSeconds?: number | null
  maxHoldSeconds?: number | null
  maxWaiting?: number | null
  sales?: 'open' | 'paused'
  promotion?: 'on' | 'off'
}

export interface HistoryEvent {
  eventId: number
  totalTickets: number
  /** Settings that the event was made with. Only such events get commands of staff and holds. */
  settings?: EventSettings
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
