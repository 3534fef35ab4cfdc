import type { CommandRequest, CommandType, Outcome } from '@ticket-line/shared'

/** What became of a request to stand in the line. */
export type SubmitResult =
  /** It was decided while the caller waited. */
  | { kind: 'decided'; commandId: string; outcome: Outcome }
  /** It is stored in Redis and will be decided. */
  | { kind: 'accepted'; commandId: string }
  /** The event has as many undecided commands as are allowed, or Redis as much as it can keep; nothing was stored. */
  | { kind: 'busy' }
  /** Redis or PostgreSQL is out of reach; it will never take effect. The id exists where one was given out. */
  | { kind: 'unavailable'; commandId?: string }
  /** Both were lost in the middle: it may or may not take effect, the id will tell. */
  | { kind: 'unknown'; commandId: string }

export interface SubmitOptions {
  /** How long to wait for the decision, ms. With 0 the command is stored at once. */
  waitMs: number
  /** What of the second within which a failure is told was used up before, as by a count that Redis did not answer, ms. */
  spentMs?: number
}

/** One command as a poll sees it. */
export interface CommandView {
  commandId: string
  type: CommandType
  eventId: number
  userId: string
  caller: string
  state: 'queued' | 'active' | 'done'
  /** About how many commands stand in front; 0 when active, null once done. */
  ahead: number | null
  acceptedAtMs: number
  /** Present once done. */
  outcome?: Outcome
}

/** The API's side of the line: everything routes may ask of it. */
export interface LineClient {
  /**
   * Puts a command into its event's line and waits for the decision. The event must exist. Never throws: what can go
   * wrong is in the result. A caller that goes away changes nothing.
   */
  submit(request: CommandRequest, options: SubmitOptions): Promise<SubmitResult>
  /**
   * Finds a command by the id that clients know as `jobId`, waiting up to `waitMs` for its decision (long poll).
   * `mayRead` is asked before any wait, so that a stranger's poll learns nothing from its duration.
   * @returns `undefined` for an id that nobody holds, or that the asker may not see
   * @throws AppError `unavailable` where PostgreSQL and Redis could not be asked
   */
  find(
    commandId: string,
    waitMs: number,
    mayRead: (view: CommandView) => boolean,
  ): Promise<CommandView | undefined>
}

/** Whether the servers behind the API can be used right now, by what the last probes and commands saw. */
export interface Availability {
  redis(): boolean
  postgres(): boolean
}
