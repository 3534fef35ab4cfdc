/** A decided command as its client saw it. All times are milliseconds of one clock. */
export interface ObservedCommand {
  /** Rank of the command in the order of the decisions of its event. */
  place: number
  sentAtMs: number
  /** When an answer arrived that fixes the place: an outcome or a 202. Infinite if none arrived. */
  answeredAtMs: number
}

/**
 * Finds decisions whose order contradicts what a client could observe: one command was answered
 * before another was sent, and was decided after it.
 *
 * @param commands of one event, in any order
 */
export function findOvertaken<C extends ObservedCommand>(
  commands: Iterable<C>,
): { overtaken: C; by: C }[] {
  const found: { overtaken: C; by: C }[] = []
  /** Among the commands that were decided earlier, the one that was sent last. */
  let latest: C | undefined
  for (const command of [...commands].sort((a, b) => a.place - b.place)) {
    if (
      latest !== undefined &&
      latest.place < command.place &&
      command.answeredAtMs < latest.sentAtMs
    )
      found.push({ overtaken: command, by: latest })
    if (latest === undefined || command.sentAtMs > latest.sentAtMs) latest = command
  }
  return found
}
