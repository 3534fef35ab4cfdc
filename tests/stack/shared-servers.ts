import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the run's servers can be asked for, see global-setup.ts. */
    serversAt: string
  }
}

/** What every suite of a run shares: one PostgreSQL with a migrated template database, one Redis. */
export interface SharedServers {
  postgresUrl: string
  redisUrl: string
  templateDatabase: string
}

/** Asks for the servers of this run; the first who asks has them started. */
export async function sharedServers(): Promise<SharedServers> {
  const answer = await fetch(inject('serversAt'))
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as SharedServers
}
