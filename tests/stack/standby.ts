import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from '../../tools/dev-stack/commands.mjs'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import type { Server } from '../../tools/dev-stack/servers.mjs'
import { queryOnce } from './databases.ts'

/** A PostgreSQL with a hot standby that follows it by streaming replication. */
export interface ReplicatedPostgres {
  primary: Server
  standby: Server
  /** Lets the standby lag: it receives changes and does not apply them until `resume`. */
  pauseReplay(): Promise<void>
  resumeReplay(): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts both servers with their data in `folder`. The standby begins as a copy of the stopped
 * primary, which needs no client programs of PostgreSQL. The npm package has none.
 */
export async function startReplicatedPostgres(folder: string): Promise<ReplicatedPostgres> {
  const folderOf = (name: string): string => path.join(folder, name)
  const primaryFolder = folderOf('primary')
  const empty = await startPostgres({ folder: primaryFolder })
  await empty.stop()
  // Unlike cpSync, it keeps the owner, who may be another user than this one.
  await run('cp', ['-a', primaryFolder, folderOf('standby')])
  writeFileSync(path.join(folderOf('standby'), 'data/standby.signal'), '')
  const primary = await startPostgres({ folder: primaryFolder })
  const { hostname, port, username, password } = new URL(primary.url)
  const source = `host=${hostname} port=${port} user=${username} password=${password}`
  const standby = await startPostgres({
    folder: folderOf('standby'),
    settings: [`primary_conninfo=${source}`],
  }).catch(async (error: unknown) => {
    await primary.stop()
    throw error
  })
  const onStandby = (sql: string): Promise<unknown> => queryOnce(standby.url, sql)
  return {
    primary,
    standby,
    pauseReplay: async () => void (await onStandby('SELECT pg_wal_replay_pause()')),
    resumeReplay: async () => void (await onStandby('SELECT pg_wal_replay_resume()')),
    async stop() {
      await standby.stop()
      await primary.stop()
    },
  }
}
