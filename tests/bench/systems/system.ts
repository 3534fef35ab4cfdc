import type { Env } from '../../stack/processes.ts'
import type { Servers } from '../../stack/servers.ts'

export type SystemName = 'product' | 'baseline' | 'rowLock' | 'singleStatement'

/** A system that serves bookings and can be measured. */
export interface BenchSystem {
  name: SystemName
  title: string
  /** Starts the system with an empty database. */
  deploy(options: DeployOptions): Promise<Deployment>
}

export interface DeployOptions {
  servers: Servers
  /** Number of processes that serve HTTP. */
  processes?: number
  /** Peers only: PostgreSQL connections of each process. */
  poolSize?: number
  /** Product only: number of worker processes, default 1. */
  workers?: number
  /** Added to the environment of every process. */
  env?: Env
}

export interface Deployment {
  targets: { host: string; port: number }[]
  /** The processes whose CPU time is measured, besides PostgreSQL and Redis. */
  processes: { role: 'api' | 'worker'; pid: number; inspectorUrl?: string }[]
  databaseUrl: string
  jwtSecret: string
  /** SQL statements for this system's tables. */
  tables: Tables
  /** Product only: what its processes have logged as a warning or worse, as JSON lines. */
  warnings?(): string[]
  /**
   * Product only: how many commands a job carried on average since the start. Undefined if the build
   * has no such metric.
   */
  commandsPerJob?(): Promise<number | undefined>
  /** Stops the system and deletes its data. */
  stop(): Promise<void>
}

/** Statements that fill and read a system's tables. */
export interface Tables {
  /** Creates events 1 to $1 with $2 tickets each. */
  insertEvents: string
  /**
   * Selects event_id, total_tickets, available_tickets, waiting_count from the system's counters.
   */
  readEvents: string
  /** Selects event_id, user_id, kind ('booking' or 'waiting') of every live claim. */
  readClaims: string
  /** Selects `disorder`: how many were promoted although an earlier entry is still on the list. */
  readDisorder: string
}
