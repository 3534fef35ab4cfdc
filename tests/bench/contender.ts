import type { Load, ReadCall } from './driver/plan.ts'
import type { Appendfsync } from './measure/appendfsync.ts'
import type { BenchSystem, DeployOptions } from './systems/system.ts'

/** One side of a comparison: a system, how it is started, and its load. */
export interface Contender {
  /** Its name in the results: the system's, or what distinguishes two contenders of one system. */
  label: string
  system: BenchSystem
  deploy: Omit<DeployOptions, 'servers'>
  task: Task
  /** The setting of Redis for this contender. If absent, all contenders have the same. */
  appendfsync?: Appendfsync
}

export interface Task {
  events: number
  ticketsPerEvent: number
  connections: number
  cancelsInTen: number
  load: Load
  /** Product only: event 1 starts with this many bookings and waiting-list entries. */
  filled?: { holders: number; waiters: number }
  /** Reads positions in the waiting list instead of booking. */
  positions?: boolean
  /** Product only: the tables start with many events, and bookings of `u0`, `u1`, … for them. */
  catalog?: { events: number; bookings: number; users: number }
  /** Reads with `GET` instead of booking: the first page of a list, or a random event. */
  reads?: ReadCall
  /** Sends bookings that the API refuses with 403 just before the line. */
  forbidden?: boolean
  /** After the load, waits `settleMs`, and then measures `measuredMs` without requests. */
  idle?: { settleMs: number; measuredMs: number }
}

/** Contenders that are measured in turn. */
export interface Workload {
  name: string
  title: string
  contenders: Contender[]
  /** Label of the contender that is compared with the others, if it is not `product`. */
  subject?: string
  /** Time of a commit, made with `commit_delay`. If absent, the disk decides. */
  commitMs?: number
}
