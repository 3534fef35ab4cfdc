import type { LineLayout } from '@ticket-line/shared'

/** Spreads ids evenly over a small number (Fibonacci hashing), also where they are all multiples of something. */
function spread(value: number, buckets: number): number {
  const hashed = (BigInt(value) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn
  return Number((hashed >> 32n) % BigInt(buckets))
}

/** The line in which the commands of that event stand. */
export function lineNameOf(eventId: number, layout: LineLayout): string {
  return layout.lines === 0 ? `event-${eventId}` : `line-${spread(eventId, layout.lines)}`
}

/** Prefix of all keys of a shard; the braces make one Redis Cluster hash tag of it. */
export function shardPrefix(shard: number, layout: Pick<LineLayout, 'keyPrefix'>): string {
  return `${layout.keyPrefix}{s${shard}}`
}

/** BullMQ `prefix` of that line's queue. */
export function linePrefix(lineName: string, layout: LineLayout): string {
  if (layout.shards === 1) return shardPrefix(0, layout)
  return shardPrefix(
    spread(Number(lineName.slice(lineName.indexOf('-') + 1)) + 1, layout.shards),
    layout,
  )
}

/** All shard prefixes of the installation, in order. */
export function shardPrefixes(layout: LineLayout): string[] {
  return Array.from({ length: layout.shards }, (_, shard) => shardPrefix(shard, layout))
}

/** The stream on which API processes name the lines that have work. */
export function activityKey(prefix: string): string {
  return `${prefix}:activity`
}

/** The sorted set of a shard's lines, by time of the last note of activity: what the sweeper looks through. */
export function linesKey(prefix: string): string {
  return `${prefix}:lines`
}

/** True if a line of that name can exist in this layout. */
export function isLineName(name: string, { lines }: LineLayout): boolean {
  const [, kind, digits = ''] = /^(event|line)-(0|[1-9]\d{0,15})$/.exec(name) ?? []
  const number = Number(digits)
  if (kind === 'line') return number < lines
  return kind === 'event' && lines === 0 && number > 0 && Number.isSafeInteger(number)
}

/**
 * The sorted set of a shard's recently forgotten lines, by the time of their last use. The
 * dashboard shows them.
 */
export function recentLinesKey(prefix: string): string {
  return `${prefix}:recent-lines`
}

/**
 * How long replies are kept for an API process that does not read: its clients ask PostgreSQL after
 * a second.
 */
export const REPLIES_TTL_MS = 60_000

/**
 * The hash that says to which installation the keys of a prefix belong. It is always in the first
 * shard.
 */
export function installationKey(prefix: string): string {
  return `${prefix}:installation`
}

/** The hash of the processes that are alive, in the first shard. */
export function processesKey(prefix: string): string {
  return `${prefix}:processes`
}

/** The stream on which workers answer one API process. */
export function replyKey(prefix: string, replyTo: string): string {
  return `${prefix}:replies:${replyTo}`
}

/** The hash that counts a line's undecided commands, a field an event. */
export function depthKey(prefix: string, lineName: string): string {
  return `${prefix}:${lineName}:depth`
}

/**
 * What the main Redis connection of a process is called (`CLIENT LIST`), one a process: how operators' tools count the
 * processes of an installation. BullMQ names the connection of an open line after its queue.
 */
export function connectionName(service: 'api' | 'worker' | 'ops', layout: LineLayout): string {
  return `${layout.keyPrefix}:${service}`
}
