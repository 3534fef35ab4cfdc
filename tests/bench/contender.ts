import type { Load } from './driver/plan.ts'
import type { BenchSystem, DeployOptions } from './systems/system.ts'

/** One of those that a workload compares: a system, how it is started, and what is asked of it. */
export interface Contender {
  /** Its name in results: that of the system, or what sets it apart from another of the same. */
  label: string
  system: BenchSystem
  deploy: Omit<DeployOptions, 'servers'>
  task: Task
}

export interface Task {
  events: number
  ticketsPerEvent: number
  connections: number
  cancelsInTen: number
  load: Load
  /** Product, one event: so many hold tickets and so many wait before the start. */
  filled?: { holders: number; waiters: number }
  /** Asks for positions in the list instead of booking. */
  positions?: boolean
  /** Asks for what is forbidden, just before the line, instead of booking. */
  forbidden?: boolean
  /** Touches every event once, waits so long, and measures what the system uses while nobody asks anything. */
  idle?: { settleMs: number; measuredMs: number }
}

/** Several tasks side by side. */
export interface Workload {
  name: string
  title: string
  contenders: Contender[]
  /** A commit takes about so long; absent: what the disk does. */
  commitMs?: number
}
