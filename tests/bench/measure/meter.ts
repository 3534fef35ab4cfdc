import { Redis } from 'ioredis'
import pg from 'pg'
import type { Servers } from '../../stack/servers.ts'
import type { Deployment } from '../systems/system.ts'
import {
  canMeasureProcesses,
  connectionsTo,
  cpuMsOf,
  cpuMsOfFamily,
  memoryMbOf,
  memoryMbOfFamily,
  parentOf,
} from './proc.ts'
import {
  type CommandUse,
  commandsBetween,
  redisCommands,
  redisCpuMs,
  redisMemoryMb,
} from './redis-usage.ts'

export type Role = 'api' | 'worker' | 'redis' | 'postgres'

/** CPU time that a system used in a window, and its memory and connections at the end of it. */
export interface Usage {
  /** Length of the window. */
  windowMs: number
  /** CPU time, ms. Roles that could not be measured are absent. */
  cpuMs: Partial<Record<Role, number>>
  memoryMb: Partial<Record<Role, number>>
  /**
   * Pages of the database that its sessions have asked for, cached or not. A session reports them
   * once a second.
   */
  pages: number
  /** Redis connections of the process that has the most of them. */
  redisConnections: number
  redisCommands: Map<string, CommandUse>
}

export interface Meter {
  start(): Promise<void>
  /** @throws Error if `start` was not called */
  stop(): Promise<Usage>
  close(): Promise<void>
}

/** Measures a deployment, PostgreSQL and Redis from outside. */
export async function createMeter(
  servers: Servers,
  { processes, databaseUrl }: Deployment,
): Promise<Meter> {
  const redis = new Redis(servers.redis.url)
  const client = new pg.Client({ connectionString: databaseUrl })
  // A failed query rejects its own promise.
  client.on('error', () => undefined)
  await client.connect()
  const redisPort = Number(new URL(servers.redis.url).port || 6379)
  const postmaster = await findPostmaster(servers.postgres.url)

  async function readCpu(): Promise<Partial<Record<Role, number>>> {
    const cpuMs: Partial<Record<Role, number>> = { redis: await redisCpuMs(redis) }
    if (!canMeasureProcesses) return cpuMs
    for (const { role, pid } of processes) cpuMs[role] = (cpuMs[role] ?? 0) + cpuMsOf(pid)
    if (postmaster !== undefined) cpuMs.postgres = cpuMsOfFamily(postmaster)
    return cpuMs
  }

  async function readMemory(): Promise<Partial<Record<Role, number>>> {
    const memoryMb: Partial<Record<Role, number>> = { redis: await redisMemoryMb(redis) }
    if (!canMeasureProcesses) return memoryMb
    for (const { role, pid } of processes) memoryMb[role] = (memoryMb[role] ?? 0) + memoryMbOf(pid)
    if (postmaster !== undefined) memoryMb.postgres = memoryMbOfFamily(postmaster)
    return memoryMb
  }

  async function readPages(): Promise<number> {
    const { rows } = await client.query<{ pages: string }>(
      'SELECT blks_hit + blks_read AS pages FROM pg_stat_database WHERE datname = current_database()',
    )
    return Number(rows[0]?.pages)
  }

  let before:
    | {
        atMs: number
        cpuMs: Partial<Record<Role, number>>
        pages: number
        commands: Map<string, CommandUse>
      }
    | undefined
  return {
    async start() {
      before = {
        atMs: performance.now(),
        cpuMs: await readCpu(),
        pages: await readPages(),
        commands: await redisCommands(redis),
      }
    },
    async stop() {
      if (before === undefined) throw new Error('start() was not called')
      const { atMs, cpuMs: cpuBefore, pages, commands } = before
      const windowMs = performance.now() - atMs
      const cpuAfter = await readCpu()
      const cpuMs: Partial<Record<Role, number>> = {}
      for (const role of Object.keys(cpuAfter) as Role[])
        cpuMs[role] = (cpuAfter[role] ?? 0) - (cpuBefore[role] ?? 0)
      return {
        windowMs,
        cpuMs,
        pages: (await readPages()) - pages,
        memoryMb: await readMemory(),
        redisConnections: Math.max(...processes.map(({ pid }) => connectionsTo(pid, redisPort))),
        redisCommands: commandsBetween(commands, await redisCommands(redis)),
      }
    },
    async close() {
      redis.disconnect()
      await client.end()
    },
  }
}

/**
 * @returns the pid of PostgreSQL's main process; undefined if it runs elsewhere, e.g. in a
 * container
 */
async function findPostmaster(url: string): Promise<number | undefined> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ pid: number; port: number }>(
      'SELECT pg_backend_pid() AS pid, inet_client_port() AS port',
    )
    const [backend] = rows
    if (!canMeasureProcesses || backend === undefined) return undefined
    // If PostgreSQL runs elsewhere, its pid may be that of another process here. It is the backend
    // only if it holds the other end of this connection.
    if (connectionsTo(backend.pid, backend.port) === 0) return undefined
    return parentOf(backend.pid)
  } finally {
    await client.end()
  }
}
