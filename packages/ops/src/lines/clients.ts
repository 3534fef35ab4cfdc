import { connectionName, type LineLayout, linePrefix } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** One connection to Redis, as `CLIENT LIST` shows it. */
export interface Connection {
  name: string
  address: string
  ageS: number
  idleS: number
}

/** Who is connected to Redis. */
export interface Connections {
  /** Connections of worker processes that have this line open, one a process. */
  serving(lineName: string): Connection[]
  workerProcesses: number
  apiProcesses: number
}

/** @returns `undefined` where the server does not tell (some managed services) */
export async function readConnections(redis: Redis, layout: LineLayout): Promise<Connections | undefined> {
  let text: string
  try {
    text = (await redis.client('LIST')) as string
  } catch {
    return undefined
  }
  const byName = Map.groupBy(parseClientList(text), (connection) => connection.name)
  return {
    serving: (lineName) => byName.get(workerConnectionName(lineName, layout)) ?? [],
    workerProcesses: byName.get(connectionName('worker', layout))?.length ?? 0,
    apiProcesses: byName.get(connectionName('api', layout))?.length ?? 0,
  }
}

/** BullMQ names the blocking connection of a worker after prefix and queue. */
function workerConnectionName(lineName: string, layout: LineLayout): string {
  return `${linePrefix(lineName, layout)}:${Buffer.from(lineName).toString('base64')}`
}

export function parseClientList(text: string): Connection[] {
  const connections: Connection[] = []
  for (const line of text.split('\n')) {
    const fields = new Map(line.split(' ').map((field) => splitOnce(field)))
    const name = fields.get('name')
    if (name === undefined || name === '') continue
    connections.push({
      name,
      address: fields.get('addr') ?? '',
      ageS: Number(fields.get('age')),
      idleS: Number(fields.get('idle')),
    })
  }
  return connections
}

function splitOnce(field: string): [string, string] {
  const at = field.indexOf('=')
  return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)]
}
