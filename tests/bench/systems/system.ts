import type { Env } from '../../stack/processes.ts'
import type { Servers } from '../../stack/servers.ts'

export type SystemName = 'product' | 'baseline' | 'rowLock' | 'singleStatement'

/** One way to serve bookings, as the benchmark handles it. */
export interface BenchSystem {
  name: SystemName
  title: string
  /** Starts it on an empty database. */
  deploy(options: DeployOptions): Promise<Deployment>
}

export interface DeployOptions {
  servers: Servers
  /** Processes that serve HTTP. */
  processes?: number
  /** Peers: connections to PostgreSQL of each process. */
  poolSize?: number
  /** Product: worker processes, default 1. */
  workers?: number
  /** Added to the environment of every process. */
  env?: Env
}

export interface Deployment {
  targets: { host: string; port: number }[]
  /** Those whose processor time counts for bookings, next to PostgreSQL and Redis. */
  processes: { role: 'api' | 'worker'; pid: number; inspectorUrl?: string }[]
  databaseUrl: string
  jwtSecret: string
  /** What its tables hold, in SQL of its own. */
  tables: Tables
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

/** Statements that fill and read a system's tables. */
export interface Tables {
  /** Creates events 1 to $1 with $2 tickets each. */
  insertEvents: string
  /** event_id, total_tickets, available_tickets, waiting_count as the system itself counts them. */
  readEvents: string
  /** event_id, user_id, kind ('booking' or 'waiting') of every live claim. */
  readClaims: string
  /** One row `disorder`: how many were promoted though somebody who came before them still waits. */
  readDisorder: string
}
