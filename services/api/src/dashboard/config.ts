import type { EnvReader } from '@ticket-line/shared'

export interface AdminConfig {
  /** Lets the dashboard change queues and jobs. */
  writable: boolean
}

/** Reads `QUEUE_BOARD_WRITABLE`. */
export function readAdminConfig(env: EnvReader): AdminConfig {
  return { writable: env.flag('QUEUE_BOARD_WRITABLE', false) }
}
