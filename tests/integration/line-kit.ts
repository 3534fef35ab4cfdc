import { type AppliedBatch, type ApplyDeps, applyJob } from '@ticket-line/booking-worker/booking'
import {
  createDatabase,
  createEvent,
  createLineStore,
  type Database,
  KEYED_PLANS,
} from '@ticket-line/db'
import type { JobToDecide } from '@ticket-line/line/server'
import {
  type AcceptedCommand,
  type CommandRequest,
  commandIdOf,
  newJobId,
  systemClock,
} from '@ticket-line/shared'
import pg from 'pg'
import { expect } from 'vitest'
import { createBase } from '../stack/system.ts'

type Base = Awaited<ReturnType<typeof createBase>>

/** A database on which the worker's code decides jobs, without processes and Redis. */
export interface LineKit {
  databaseUrl: string
  /** Connected as a worker process connects. */
  database: Database
  applyDeps: ApplyDeps
  /** Errors after which a batch was retried, since the kit was created. */
  retries: unknown[]
  query<Row extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>
  createEvent(eventId: number, totalTickets: number): Promise<void>
  /** Creates an event with the next id of this kit. @returns its id */
  newEvent(totalTickets: number): Promise<number>
  /** Makes a job with a new id. */
  job(...commands: CommandRequest[]): KitJob
  apply(job: KitJob, startedBefore?: boolean): Promise<AppliedBatch>
  /**
   * Connections with the usual settings of PostgreSQL. Those of `database` plan statements with
   * known keys, which makes the checks of all rows slow.
   */
  plainPool: pg.Pool
  stop(): Promise<void>
}

export interface KitJob {
  jobId: string
  acceptedAtMs: number
  commands: CommandRequest[]
  /** The id of the n-th command. */
  id(index: number): string
}

/** @param base the database to use; `stop` removes it */
export async function createLineKit(base?: Base): Promise<LineKit> {
  const { databaseUrl, remove } = base ?? (await createBase())
  const database = createDatabase({
    url: databaseUrl,
    poolSize: 8,
    applicationName: 'line test',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 3000,
    pipeline: true,
    sessionSettings: KEYED_PLANS,
    onIdleError: () => undefined,
  })
  const plain = new pg.Pool({ connectionString: databaseUrl, max: 3 })
  plain.on('error', () => undefined)
  const retries: unknown[] = []
  let lastEventId = 0
  const applyDeps: ApplyDeps = {
    store: createLineStore(database.pool, database.pool),
    clock: systemClock,
    onRetry: (error) => retries.push(error),
    givenUp: () => false,
  }
  return {
    databaseUrl,
    database,
    applyDeps,
    retries,
    plainPool: plain,
    query: async (sql, values) => (await plain.query(sql, values)).rows,
    createEvent: async (eventId, totalTickets) =>
      void (await createEvent(plain, eventId, totalTickets)),
    async newEvent(totalTickets) {
      await createEvent(plain, ++lastEventId, totalTickets)
      return lastEventId
    },
    job(...commands) {
      const acceptedAtMs = Date.now()
      const jobId = newJobId(`event-${commands[0]?.eventId}`, commands.length, acceptedAtMs)
      return { jobId, acceptedAtMs, commands, id: (index) => commandIdOf(jobId, index) }
    },
    apply: (job, startedBefore = false) => applyJob(applyDeps, jobToApply(job, { startedBefore })),
    async stop() {
      await Promise.all([database.close(), plain.end()])
      await remove()
    },
  }
}

/** A job as a worker receives it when it starts the job for the first time. */
export const jobToApply = (
  { jobId, acceptedAtMs, commands }: KitJob,
  more: Partial<JobToDecide> = {},
): JobToDecide => ({
  jobId,
  startedBefore: false,
  lockLost: () => false,
  payload: { v: 1, replyTo: 'test', acceptedAtMs, commands },
  ...more,
})

/** The first command of a job, with its id. */
export function acceptedCommand({ acceptedAtMs, commands, id }: KitJob): AcceptedCommand {
  return { ...(commands[0] as CommandRequest), commandId: id(0), acceptedAtMs }
}

/** A command that users send for themselves, unless `more` says otherwise. */
export function command(
  type: CommandRequest['type'],
  eventId: number,
  userId: string,
  more: MembersOf<CommandRequest> = {},
): CommandRequest {
  return { type, eventId, userId, caller: userId, ...more } as CommandRequest
}

/** Members of a command, of whichever type. */
type MembersOf<Request> = Request extends unknown ? Partial<Omit<Request, 'type'>> : never

export const kindsOf = ({ outcomes }: AppliedBatch): string[] =>
  outcomes.map(({ outcome }) => outcome)

/** Asserts that the counters, claims and blocks of every event agree with its rows. */
export async function expectRowsAgree(kit: Pick<LineKit, 'query'>): Promise<void> {
  const wrong = await kit.query(`
    WITH live AS (
      SELECT event_id, user_id, CASE status WHEN 'held' THEN 'held' ELSE 'booking' END AS kind, sequence FROM bookings
        WHERE status IN ('confirmed', 'held')
      UNION ALL
      SELECT event_id, user_id, 'waiting', sequence FROM waitlist_entries WHERE status = 'waiting'
    ), counted AS (
      SELECT event_id, count(*) FILTER (WHERE kind <> 'waiting') AS committed,
        count(*) FILTER (WHERE kind = 'held') AS held,
        count(*) FILTER (WHERE kind = 'waiting') AS waiting
      FROM live GROUP BY event_id
    )
    SELECT 'counters of event ' || e.event_id AS what FROM events e LEFT JOIN counted c USING (event_id)
      WHERE e.available_tickets <> e.total_tickets - coalesce(c.committed, 0)
        OR e.held_count <> coalesce(c.held, 0)
        OR e.waiting_count <> coalesce(c.waiting, 0)
        OR (e.waiting_count > 0 AND e.available_tickets > 0)
    UNION ALL
    SELECT 'claim of ' || coalesce(l.user_id, c.user_id) FROM live l
      FULL JOIN (SELECT * FROM claims WHERE kind <> 'lapsed') c USING (event_id, user_id, kind, sequence)
      WHERE c.kind IS NULL OR l.kind IS NULL
    UNION ALL
    SELECT 'block ' || block FROM waitlist_blocks b FULL JOIN (
      SELECT event_id, sequence >> 10 AS block, count(*) AS waiting FROM live WHERE kind = 'waiting' GROUP BY 1, 2
    ) AS w USING (event_id, block) WHERE coalesce(b.waiting_count, 0) <> coalesce(w.waiting, 0)
    UNION ALL
    SELECT 'head of event ' || event_id FROM events e WHERE EXISTS (
      SELECT FROM waitlist_entries w
      WHERE w.event_id = e.event_id AND w.status = 'waiting' AND w.sequence < e.waitlist_head_sequence)`)
  expect(wrong).toEqual([])
}
