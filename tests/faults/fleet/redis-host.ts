import { mkdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../../../tools/dev-stack/redis.mjs'
import type { RedisProduct } from '../../../tools/dev-stack/redis-apt.mjs'
import type { Server } from '../../../tools/dev-stack/servers.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { plain } from '../../proxy/moments.ts'
import { startProxy } from '../../proxy/tcp-proxy.ts'
import type { Env } from '../../stack/processes.ts'
import { withRedis } from '../../stack/redis/connection.ts'
import type { ReplicatedRedis } from '../../stack/redis/deployment.ts'
import { type MonitoredJournal, startMonitoredJournal } from './monitored-journal.ts'

/** What Redis keeps: `appendfsync always`, `appendfsync everysec`, or `appendonly no`. */
export type Persistence = 'always' | 'everysec' | 'none'

export const PERSISTENCES: readonly Persistence[] = ['always', 'everysec', 'none']

export const PERSISTENCE_SETTINGS: Record<Persistence, string[]> = {
  always: ['appendfsync always'],
  everysec: ['appendfsync everysec'],
  none: ['appendonly no'],
}

/**
 * How Redis loses data:
 *
 * - `flush`: `FLUSHALL`.
 * - `deleted-files`: it is killed, its files are deleted, and it starts again.
 * - `no-persistence`: it is stopped and starts empty, as a Redis with `save ""` and `appendonly no`
 *   does. The rig keeps what Redis has written for the checker.
 * - `killed`: it is killed and starts with what it has kept. With `appendfsync always` it loses
 *   nothing, so this is a loss with other settings only.
 * - `lagging-replica`: it dies with writes that its replica has not received, and the replica is
 *   promoted.
 *
 * The last two leave a part of the data, unless Redis keeps nothing.
 */
export type Loss = 'flush' | 'deleted-files' | 'no-persistence' | 'killed' | 'lagging-replica'

/** The losses that random faults choose from. */
export const LOSSES: readonly Loss[] = [
  'flush',
  'deleted-files',
  'no-persistence',
  'lagging-replica',
]

/** The Redis of a fleet. It can lose its data, and is another server after a failover. */
export interface RedisHost {
  /** Redis, if it has several servers. */
  replicated?: ReplicatedRedis
  /** The settings with which services find the servers, if there are several. */
  env?: Env
  /** The server that is in use. @throws Error if there are several */
  server(): Server
  /** The addresses of the servers that clients write to. */
  urls(): Promise<string[]>
  /**
   * The folders of the append-only files that have every write, in the order in which they were
   * used.
   */
  journalFolders(): string[]
  /**
   * @param lagMs for `lagging-replica`: how much the replica lags
   * @returns when Redis is in use again
   */
  lose(loss: Loss, lagMs?: number): Promise<void>
  stop(): Promise<void>
}

export interface RedisHostOptions {
  /** Gets a folder for each server. */
  folder: string
  product: RedisProduct | undefined
  persistence: Persistence
  /** False if nobody reads the journal. Redis then rewrites its file as in production. */
  keepJournal: boolean
  env: Record<string, string> | undefined
  /** Called when Redis has another address, and clients must connect there. */
  onMoved: (target: { host: string; port: number }) => void
}

const FILES = 'appendonlydir'
const SYNC_WITHIN_MS = 20_000

export async function startRedisHost(options: RedisHostOptions): Promise<RedisHost> {
  const { env, product, persistence, keepJournal } = options
  const settings = [
    ...PERSISTENCE_SETTINGS[persistence],
    // A rewrite would remove from the file what has entered the lines.
    ...(keepJournal ? ['auto-aof-rewrite-percentage 0'] : []),
    'repl-diskless-sync-delay 0',
  ]
  /** With other settings, the file of a Redis that was killed may lack writes. */
  const isMonitored = keepJournal && persistence !== 'always'
  let servers = 1
  let folder = path.join(options.folder, 'redis')
  let server = await startRedis({ folder, settings, env, product })
  const { password } = new URL(server.url)
  /** Folders of files that no server uses any more. */
  const abandoned: string[] = []
  const monitoredFolders: string[] = []
  let monitored = await monitor()

  async function monitor(): Promise<MonitoredJournal | undefined> {
    if (!isMonitored) return undefined
    const monitoredFolder = path.join(options.folder, `monitored-${monitoredFolders.length}`)
    monitoredFolders.push(monitoredFolder)
    return startMonitoredJournal(server.url, monitoredFolder)
  }

  function loseFiles(): void {
    if (persistence !== 'always') {
      rmSync(path.join(folder, FILES), { recursive: true, force: true })
      return
    }
    const aside = path.join(options.folder, `lost-${abandoned.length}`)
    mkdirSync(aside)
    renameSync(path.join(folder, FILES), path.join(aside, FILES))
    abandoned.push(aside)
  }

  async function failOver(lagMs: number): Promise<void> {
    const master = server
    const masterFolder = folder
    const next = path.join(options.folder, `redis-${servers++}`)
    const link = await startProxy({
      target: addressOf(master),
      wire: plain,
      intervene: () => undefined,
    })
    const replica = await startRedis({
      folder: next,
      // That of the master, so that clients can use the replica after the failover.
      password,
      settings: [...settings, `masterauth ${password}`],
      env,
      product,
    })
    let isKilled = false
    try {
      await withRedis(replica.url, async (redis) => {
        await redis.replicaof('127.0.0.1', link.port)
        const isInStep = async (): Promise<boolean> => {
          const info = await redis.info()
          return (
            info.includes('master_link_status:up') &&
            info.includes('aof_rewrite_in_progress:0') &&
            info.includes('aof_rewrite_scheduled:0')
          )
        }
        if (!(await until(isInStep, { timeoutMs: SYNC_WITHIN_MS })))
          throw new Error('the replica did not sync')
        link.hold()
        await sleep(lagMs)
        isKilled = true
        await master.kill()
        await redis.replicaof('NO', 'ONE')
      })
    } catch (error) {
      await replica.stop()
      if (isKilled) await master.restart()
      throw error
    } finally {
      await link.close()
    }
    abandoned.push(masterFolder)
    folder = next
    server = replica
    monitored?.stop()
    monitored = await monitor()
    options.onMoved(addressOf(replica))
  }

  return {
    server: () => server,
    urls: async () => [server.url],
    journalFolders: () => (isMonitored ? monitoredFolders : [...abandoned, folder]),
    async lose(loss, lagMs = 0) {
      switch (loss) {
        case 'flush':
          return void (await withRedis(server.url, (redis) => redis.flushall()))
        case 'deleted-files':
        case 'no-persistence':
          await (loss === 'deleted-files' ? server.kill() : server.stop())
          loseFiles()
          return server.restart()
        case 'killed':
          await server.kill()
          return server.restart()
        case 'lagging-replica':
          return failOver(lagMs)
      }
    },
    stop() {
      monitored?.stop()
      return server.stop()
    },
  }
}

function addressOf(server: Server): { host: string; port: number } {
  const { hostname, port } = new URL(server.url)
  return { host: hostname, port: Number(port) }
}
