/** Whether this process still takes work. */
export interface Lifecycle {
  /** Set once it has been asked to stop: `/readyz` says so and connections are not kept alive. */
  draining: boolean
}
