/**
 * Runs what was asked for in one turn of the event loop one after the other, once what has already arrived was read: what
 * all of it starts is worked off, or written, together (docs/decisions/0009-work-per-event-loop-turn.md).
 *
 * @returns asks for one; it must not throw
 */
export function createTurns(): (run: () => void) => void {
  let gathered: (() => void)[] = []
  return (run) => {
    if (gathered.length === 0) {
      setImmediate(() => {
        const runs = gathered
        gathered = []
        for (const each of runs) each()
      })
    }
    gathered.push(run)
  }
}
