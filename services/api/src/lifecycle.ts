import type { Availability } from '@ticket-line/line/client'

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

/**
 * A server counts as unavailable until it was checked once: PostgreSQL is migrated, Redis keeps its
 * data. So does a Redis while it is uncertain whether it belongs to this installation.
 */
export function onlyChecked(
  availability: Availability,
  checked: Checked,
  isOurRedis: () => boolean,
): Availability {
  return {
    redis: () => checked.redis && isOurRedis() && availability.redis(),
    postgres: () => checked.postgres && availability.postgres(),
  }
}
