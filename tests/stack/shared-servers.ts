import { inject } from 'vitest'
import { chosenRedis } from './redis/deployment.ts'
import type { Servers } from './servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL that returns the run's servers, see global-setup.ts. */
    serversUrl: string
  }
}

/** What all suites of a run share: a PostgreSQL with a migrated template database, and a Redis. */
export interface SharedServers extends Pick<Servers, 'redisEnv' | 'redisUrls'> {
  postgresUrl: string
  redisUrl: string
  templateDatabase: string
}

/** Returns the servers of this run, with the kind of Redis that `TEST_REDIS` names. */
export async function sharedServers(): Promise<SharedServers> {
  const answer = await fetch(`${inject('serversUrl')}/${chosenRedis()}`)
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as SharedServers
}
