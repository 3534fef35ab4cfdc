/** Thrown if a batch was given up between two runs; its job stays in the line for the next worker. */
export class GivenUpError extends Error {
  override name = 'GivenUpError'
}

/** Thrown if the commands of a batch failed for a reason of their own; the cause is the last failure. */
export class CommandFault extends Error {
  override name = 'CommandFault'
}

/** Thrown if a job must not be run and cannot be answered. The line goes on behind it, and an operator looks at it. */
export class SetAsideError extends Error {
  override name = 'SetAsideError'
}
