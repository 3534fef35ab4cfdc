import path from 'node:path'
import { withRedis } from '../../stack/redis/connection.ts'
import type { ReplicatedRedis } from '../../stack/redis/deployment.ts'
import { shardsFor, startReplicatedRedis } from '../../stack/servers.ts'
import { startMonitoredJournal } from './monitored-journal.ts'
import { PERSISTENCE_SETTINGS, type Persistence, type RedisHost } from './redis-host.ts'

/**
 * Starts a Redis Cluster, or a Redis with Sentinels, for a fleet. Clients learn the addresses of
 * the servers from Redis, so no proxies are between them.
 *
 * The journal is what `MONITOR` shows of scripts on all servers, in the order in which it arrives.
 * It has each write once: a replica gets its master's writes in a stream, not from scripts.
 */
export async function startReplicatedHost(options: {
  kind: ReplicatedRedis['kind']
  /** Gets a folder for each server. */
  folder: string
  persistence: Persistence
}): Promise<RedisHost> {
  const { kind, folder, persistence } = options
  const replicated = await startReplicatedRedis(kind, folder, PERSISTENCE_SETTINGS[persistence])
  const journalFolder = path.join(folder, 'monitored')
  const journals = await Promise.all(
    replicated.nodes.map(({ url }) => startMonitoredJournal(url, journalFolder)),
  )
  return {
    replicated,
    env: { ...replicated.env, ...shardsFor(kind) },
    server: () => {
      throw new Error(`${replicated.source} has several servers`)
    },
    urls: async () => (await replicated.masters()).map(({ url }) => url),
    journalFolders: () => [journalFolder],
    async lose(loss) {
      if (loss !== 'flush') throw new Error(`${replicated.source} cannot lose data by ${loss}`)
      for (const { url } of await replicated.masters())
        await withRedis(url, (redis) => redis.flushall())
    },
    async stop() {
      for (const journal of journals) journal.stop()
      await replicated.stop()
    },
  }
}
