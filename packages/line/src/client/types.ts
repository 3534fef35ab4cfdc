import type { CommandRequest, Outcome, PublicCommand } from '@ticket-line/shared'

/** What became of a command that was submitted. */
export type SubmitResult =
  /** It was decided while the client waited. */
  | { kind: 'decided'; commandId: string; outcome: Outcome }
  /** It is decided or will be: its job is recorded in PostgreSQL. */
  | { kind: 'accepted'; commandId: string; etaSeconds: number | null }
  /** Its event has reached its depth limit, or Redis is nearly full. Nothing was stored. */
  | { kind: 'busy'; limit: 'line_depth' | 'redis_memory' }
  /**
   * Redis or PostgreSQL is unavailable, and the command will never take effect. `commandId` is set
   * if the command was already part of a job.
   */
  | { kind: 'unavailable'; commandId?: string }
  /** Both servers failed, and the command may or may not take effect. `find` shows it later. */
  | { kind: 'unknown'; commandId: string }

export interface SubmitOptions {
  /** How long to wait for the decision, ms. With 0 the result is never `decided`. */
  waitMs: number
  /**
   * How much of the error budget the request has already spent, ms, for example because Redis did
   * not answer the rate limit. 0 by default.
   */
  spentMs?: number
}

/** A command as `GET /jobs/:id` shows it. */
export interface CommandView extends PublicCommand {
  state: 'queued' | 'active' | 'done'
  /** About how many commands are ahead of it: 0 if it is active, null if it is done. */
  ahead: number | null
  /**
   * About how many seconds are left until it is decided: 0 if it is active, null if it is done or
   * the pace of the line is unknown.
   */
  etaSeconds: number | null
  acceptedAtMs: number
  /** Its outcome, if it is done. */
  outcome?: Outcome
}

/** The API's end of the line. */
export interface LineClient {
  /**
   * Submits a command for an event that exists, and waits for its decision. The command takes
   * effect even if its client disconnects.
   *
   * @returns what became of it. It never rejects
   */
  submit(request: CommandRequest, options: SubmitOptions): Promise<SubmitResult>
  /**
   * Finds a command by the id that clients know as `jobId`, and waits up to `waitMs` for its
   * decision.
   *
   * @param mayRead Called with the command before any wait, so that a caller who may not read it
   * learns nothing from the duration.
   * @returns undefined if there is no command with that id, or the caller may not read it
   * @throws AppError `unavailable` if PostgreSQL or Redis could not be asked
   */
  find(
    commandId: string,
    waitMs: number,
    mayRead: (view: CommandView) => boolean | Promise<boolean>,
  ): Promise<CommandView | undefined>
}

/** Whether Redis and PostgreSQL work, as of the last probe and the state of the connection. */
export interface Availability {
  redis(): boolean
  postgres(): boolean
}
