import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL that returns the run's servers, see global-setup.ts. */
    serversUrl: string
  }
}

/** What all suites of a run share: a PostgreSQL with a migrated template database, and a Redis. */
export interface SharedServers {
  postgresUrl: string
  redisUrl: string
  templateDatabase: string
}

/** Returns the servers of this run. The first call starts them. */
export async function sharedServers(): Promise<SharedServers> {
  const answer = await fetch(inject('serversUrl'))
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as SharedServers
}
