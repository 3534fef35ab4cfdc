import type { LineJournal } from './journal.ts'
import type { Rows } from './rows.ts'

/**
 * Puts the commands of each line in the order in which they were decided, and leaves out those that
 * were not.
 *
 * After Redis has lost data, this is the only order of a line: jobs are added again behind others,
 * and jobs that are not recorded as accepted may be gone. PostgreSQL stores the time of each
 * decision in ms, and the change log has the order of those that changed something.
 */
export function inOrderOfDecision(
  journal: Map<string, LineJournal>,
  rows: Rows,
): Map<string, LineJournal> {
  const decidedAtMs = new Map(rows.commands.map((row) => [row.commandId, row.decidedAtMs]))
  const firstChange = new Map<string, number>()
  for (const { commandId, no } of rows.changes)
    if (commandId !== null && !firstChange.has(commandId)) firstChange.set(commandId, no)
  return new Map(
    [...journal].map(([lineName, line]) => {
      const commands = line.commands
        .filter(({ commandId }) => decidedAtMs.has(commandId))
        .sort((a, b) => {
          const [atA = 0, atB = 0] = [a, b].map(({ commandId }) => decidedAtMs.get(commandId))
          if (atA !== atB || a.jobId === b.jobId || a.eventId !== b.eventId) return atA - atB
          const [noA, noB] = [a, b].map(({ commandId }) => firstChange.get(commandId))
          return noA === undefined || noB === undefined ? 0 : noA - noB
        })
      return [lineName, { ...line, commands }]
    }),
  )
}
