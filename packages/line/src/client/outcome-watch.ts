import { findStoredCommands, type Pool, type StoredCommand } from '@ticket-line/db'

/**
 * Looks up stored commands, many callers in one statement: those who ask while a look-up runs share the next one.
 * @returns `undefined` for commands that are not decided
 */
export type FindStored = (commandId: string) => Promise<StoredCommand | undefined>

/** Ids in one statement: enough to serve a crowd, small enough for everybody else. */
const IDS_PER_STATEMENT = 1000

interface Ask {
  commandId: string
  resolve: (found: StoredCommand | undefined) => void
  reject: (error: unknown) => void
}

export function createFindStored(pool: Pool): FindStored {
  const asked: Ask[] = []
  let running = false

  async function run(): Promise<void> {
    running = true
    // What has arrived in this moment goes together.
    await new Promise((resolve) => setImmediate(resolve))
    while (asked.length > 0) {
      const batch = asked.splice(0, IDS_PER_STATEMENT)
      try {
        const rows = await findStoredCommands(pool, [...new Set(batch.map((ask) => ask.commandId))])
        const byId = new Map(rows.map((row) => [row.command.commandId, row]))
        for (const ask of batch) ask.resolve(byId.get(ask.commandId))
      } catch (error) {
        for (const ask of batch) ask.reject(error)
      }
    }
    running = false
  }

  return (commandId) =>
    new Promise((resolve, reject) => {
      asked.push({ commandId, resolve, reject })
      if (!running) void run()
    })
}
