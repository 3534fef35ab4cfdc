import type { Availability } from './queue/line-client.js'

/** Whether this process takes work. */
export interface Lifecycle {
  /** Set once it has been asked to stop: `/readyz` says so and connections are not kept alive. */
  draining: boolean
}

/** Servers that were found fit to work with. */
export interface Checked {
  redis: boolean
  postgres: boolean
}

/** A server counts as out of reach until it was looked at once: migrated, and safe to keep commands in. */
export function onlyChecked(availability: Availability, checked: Checked): Availability {
  return {
    redis: () => checked.redis && availability.redis(),
    postgres: () => checked.postgres && availability.postgres(),
  }
}
