/**
 * Thrown if a batch was given up between two runs. Its job stays in the line for the next worker.
 */
export class GivenUpError extends Error {
  override name = 'GivenUpError'
}

/**
 * Thrown if the commands of a batch failed for a reason of their own. The cause is the last
 * failure.
 */
export class CommandFault extends Error {
  override name = 'CommandFault'
}

/**
 * Thrown if a job must not be run, or cannot be answered. The line goes on without it; an operator
 * decides.
 */
export class SetAsideError extends Error {
  override name = 'SetAsideError'
}
