import type { Socket } from 'node:net'
import {
  countPendingMigrations,
  type DatabaseOverview,
  type HoldsOverview,
  readDatabaseOverview,
  readHoldsOverview,
} from '@ticket-line/db'
import { createLineRegistry, type LineRedis, type LinesOverview } from '@ticket-line/line'
import { type ConnectedProcesses, countProcesses, hasAllAccepted } from '@ticket-line/line/inspect'
import { errorSummary, parseRedisInfo, plural, seconds, VERSION } from '@ticket-line/shared'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { exitCodeOf } from '../failure.js'
import { EXIT, type Report } from '../report.js'

export const status: Command = {
  name: 'status',
  summary: 'show versions, both servers, processes and undecided commands',
  usage: `status [--json]

Shows the versions, PostgreSQL and Redis, how many processes are connected, and how many
commands are undecided in all lines. If one server is out of reach, the other one is still
shown. It changes nothing.

Exit code 1: something needs attention. Exit code 3: a server is out of reach.`,
  options: {},
  run: showStatus,
}

interface DatabaseStatus extends DatabaseOverview {
  pendingMigrations: number
  /** Null if the database lacks migrations. */
  holds: HoldsOverview | null
}

interface RedisStatus {
  /** The servers that have shards of the lines: one, or masters of a cluster. */
  servers: RedisServerStatus[]
  processes: ConnectedProcesses | undefined
  lines: LinesOverview
  /** False if Redis may lack accepted commands, and processes have to add them again. */
  hasAllAccepted: boolean
}

interface RedisServerStatus {
  /** Host and port. */
  address: string
  /** The prefixes of its shards. */
  shards: string[]
  /** Undefined if Redis does not allow this user to read it. */
  info: RedisInfo | undefined
}

/** The parts of Redis's `INFO` that an operator needs first. */
interface RedisInfo {
  version: string
  memoryBytes: number
  /** 0 means no limit. */
  memoryMaxBytes: number
  evictionPolicy: string
}

/** A deadline that is overdue for longer needs an operator, seconds. As in `HoldsOverdue`. */
const OVERDUE_SECONDS = 10
/** If the oldest job of all lines is older, settles wait behind the commands before them, ms. */
const BACKED_UP_MS = 5000

/** The answer of a server, or the reason why there is none. */
type Asked<T> = { reachable: true; said: T } | { reachable: false; error: string }

async function showStatus(context: Context): Promise<Report> {
  const [database, redis] = await Promise.all([
    ask(() => askDatabase(context)),
    ask(() => askRedis(context)),
  ])
  const attention = [
    ...(database.reachable ? attentionToDatabase(database.said) : []),
    ...(redis.reachable ? attentionToRedis(redis.said) : []),
    ...(database.reachable && redis.reachable
      ? [
          ...attentionToHolds(database.said, redis.said, context.now()),
          ...attentionToWebhooks(database.said, redis.said),
        ]
      : []),
  ]
  const reachable = database.reachable && redis.reachable
  return {
    exitCode: !reachable ? EXIT.unreachable : attention.length > 0 ? EXIT.found : EXIT.fine,
    data: { ok: reachable && attention.length === 0, version: VERSION, database, redis, attention },
    text: [
      `ticket-line ${VERSION}`,
      database.reachable ? describeDatabase(database.said) : `PostgreSQL: ${database.error}`,
      ...(redis.reachable ? describeRedis(redis.said, context.now()) : [`Redis: ${redis.error}`]),
      ...attention.map((text) => `ATTENTION: ${text}`),
    ],
  }
}

async function ask<T>(work: () => Promise<T>): Promise<Asked<T>> {
  try {
    return { reachable: true, said: await work() }
  } catch (error) {
    if (exitCodeOf(error) !== EXIT.unreachable) throw error
    return { reachable: false, error: errorSummary(error) }
  }
}

async function askDatabase(context: Context): Promise<DatabaseStatus> {
  const pendingMigrations = await countPendingMigrations(context.pool(), context.databaseSchema)
  // A database that lacks migrations may have no tables.
  const counts = pendingMigrations === 0
  const overview = await readDatabaseOverview(context.pool(), { counts })
  const holds = counts ? await readHoldsOverview(context.pool()) : null
  return { ...overview, pendingMigrations, holds }
}

async function askRedis(context: Context): Promise<RedisStatus> {
  const redis = await context.redis()
  const processes = await countProcesses(redis, context.layout)
  const lines = await createLineRegistry(redis, context.layout).overview()
  const servers = await readServers(redis)
  return { servers, processes, lines, hasAllAccepted: await hasAllAccepted(redis, context.layout) }
}

async function readServers({ connections }: LineRedis): Promise<RedisServerStatus[]> {
  const byAddress = new Map<string, RedisServerStatus>()
  for (const { redis, prefixes } of connections) {
    const info = await redis.info().then(readInfo, () => undefined)
    const { remoteAddress = '', remotePort = 0 } = redis.stream as Socket
    const address = `${remoteAddress}:${remotePort}`
    const known = byAddress.get(address)
    if (known === undefined) byAddress.set(address, { address, shards: [...prefixes], info })
    else known.shards.push(...prefixes)
  }
  return [...byAddress.values()]
}

function readInfo(text: string): RedisInfo {
  const fields = parseRedisInfo(text)
  const field = (name: string): string => fields.get(name) ?? ''
  return {
    version: field('redis_version'),
    memoryBytes: Number(field('used_memory')),
    memoryMaxBytes: Number(field('maxmemory')),
    evictionPolicy: field('maxmemory_policy'),
  }
}

function attentionToDatabase({ pendingMigrations }: DatabaseStatus): string[] {
  if (pendingMigrations === 0) return []
  return [`the database lacks ${plural(pendingMigrations, 'migration')}`]
}

function attentionToRedis({ servers, processes, lines, ...redis }: RedisStatus): string[] {
  const attention: string[] = []
  // While no process is connected, nobody waits for this. The first one that starts does it.
  if (!redis.hasAllAccepted && processes !== undefined && processes.apis + processes.workers > 0) {
    attention.push(
      'Redis may have lost accepted commands, and clients get 503 until a process has added them again',
    )
  }
  const policies = servers.flatMap(({ info }) => info?.evictionPolicy ?? [])
  const evicting = policies.find((policy) => policy !== 'noeviction')
  if (evicting !== undefined)
    attention.push(`Redis may evict parts of lines: maxmemory-policy is ${evicting}`)
  if (processes?.workers === 0 && lines.linesWithWork > 0) {
    attention.push('there are undecided commands and no worker is connected')
  }
  return attention
}

function attentionToHolds(
  { holds }: DatabaseStatus,
  { lines: { oldestJobAtMs } }: RedisStatus,
  nowMs: number,
): string[] {
  const overdueSeconds = holds?.overdueSeconds ?? 0
  const isBackedUp = oldestJobAtMs !== undefined && nowMs - oldestJobAtMs > BACKED_UP_MS
  if (overdueSeconds <= OVERDUE_SECONDS || isBackedUp) return []
  return [
    `a deadline passed ${seconds(overdueSeconds * 1000)} ago and was not applied (see HoldsOverdue in docs/operations.md)`,
  ]
}

function attentionToWebhooks(
  { enabledWebhooks }: DatabaseStatus,
  { processes }: RedisStatus,
): string[] {
  if (!enabledWebhooks || processes?.notifiers !== 0) return []
  return [
    `no notifier is connected, so changes are not delivered (enabled webhooks: ${enabledWebhooks})`,
  ]
}

function describeDatabase({ version, events, waiting, holds }: DatabaseStatus): string {
  if (events === null) return `PostgreSQL ${version}`
  const counts = [plural(events, 'event'), `${waiting} on waiting lists`]
  if (holds !== null && holds.heldTickets > 0)
    counts.push(`${plural(holds.heldTickets, 'ticket')} held`)
  if (holds !== null && holds.withheldTickets > 0)
    counts.push(`${plural(holds.withheldTickets, 'ticket')} withheld`)
  return `PostgreSQL ${version}: ${counts.join(', ')}`
}

function describeRedis({ servers, processes, lines }: RedisStatus, nowMs: number): string[] {
  const redis = servers.map(({ address, shards, info }) =>
    servers.length === 1
      ? describeServer(info)
      : `${describeServer(info)}, ${address} has ${shards.join(', ')}`,
  )
  const connected =
    processes === undefined
      ? 'Redis does not show this user which processes are connected'
      : `${plural(processes.apis, 'API process')}, ${plural(processes.workers, 'worker process')} and ${plural(processes.notifiers, 'notifier process')} connected`
  const { linesWithWork, undecidedCommands, oldestJobAtMs } = lines
  const undecided =
    oldestJobAtMs === undefined
      ? 'no undecided commands'
      : `${plural(undecidedCommands, 'undecided command')} in ${plural(linesWithWork, 'line')}, the oldest ${seconds(Math.max(0, nowMs - oldestJobAtMs))} old`
  return [...redis, connected, `Lines: ${undecided}`]
}

function describeServer(info: RedisInfo | undefined): string {
  if (info === undefined) return 'Redis (this user may not read more)'
  const memory = (bytes: number) => `${Math.ceil(bytes / 1_048_576)} MiB`
  const limit = info.memoryMaxBytes === 0 ? 'no limit' : `limit ${memory(info.memoryMaxBytes)}`
  return `Redis ${info.version}: ${memory(info.memoryBytes)} used, ${limit}`
}
