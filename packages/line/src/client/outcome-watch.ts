import type { CommandStore, StoredCommand } from '@ticket-line/db'
import { byKey, createBatcher } from '@ticket-line/shared'

/**
 * Looks up stored commands, many callers in one statement: those who ask while a look-up runs share the next one.
 * @returns `undefined` for commands that are not decided
 */
export type FindStored = (commandId: string) => Promise<StoredCommand | undefined>

/** Ids in one statement: enough to serve a crowd, small enough for everybody else. */
const IDS_PER_STATEMENT = 1000

export function createFindStored(store: Pick<CommandStore, 'findStored'>): FindStored {
  async function find(commandIds: string[]): Promise<Map<string, StoredCommand>> {
    const rows = await store.findStored(commandIds)
    return new Map(rows.map((row) => [row.command.commandId, row]))
  }
  return createBatcher({
    run: byKey(find),
    schedule: setImmediate,
    maxSize: IDS_PER_STATEMENT,
    maxRunning: 1,
  })
}
