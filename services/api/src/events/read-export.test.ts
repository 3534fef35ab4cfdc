import type { Pool, StreamOptions } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createExportReader } from './read-export.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const TIMEOUT_MS = 100

interface Server {
  pool: Pool
  /** What its event 1 has. */
  lastChange: number
  epoch: string
}

function createServer(lastChange: number, epoch = 'e1'): Server {
  const server = { lastChange, epoch } as Server
  const query = async () => ({
    rows: [{ epoch: server.epoch, event_id: '1', last_change: String(server.lastChange) }],
  })
  server.pool = { query, connect: query } as unknown as Pool
  return server
}

/** Exports event 1. Each row is the last change of the server that it was read from. */
function exportFrom(primary: Server, standby?: Server, fail?: Error) {
  const servers: string[] = []
  const read = createExportReader({
    pool: primary.pool,
    exportPool: primary.pool,
    standbyPool: standby?.pool,
    postgres: { availability: { postgres: () => true }, timeoutMs: TIMEOUT_MS },
    options: { portionRows: 10, stallTimeoutMs: 1000 },
    onBegin: (server) => servers.push(server),
    log: createLog('test', 'silent'),
  })
  async function* stream(pool: Pool, { prepare }: StreamOptions): AsyncGenerator<number[]> {
    await prepare?.(pool as never)
    if (pool === standby?.pool && fail !== undefined) throw fail
    yield [pool === primary.pool ? primary.lastChange : (standby?.lastChange as number)]
  }
  return { rows: collect(read(1, stream)), servers }
}

async function collect<Row>(rows: AsyncGenerator<Row[]>): Promise<Row[][]> {
  const portions: Row[][] = []
  for await (const portion of rows) portions.push(portion)
  return portions
}

describe('createExportReader', () => {
  it('reads from the primary if there is no standby', async () => {
    const { rows, servers } = exportFrom(createServer(7))
    expect(await rows).toEqual([[7]])
    expect(servers).toEqual(['primary'])
  })

  it('reads from a standby that has what the primary had', async () => {
    const { rows, servers } = exportFrom(createServer(7), createServer(8))
    expect(await rows).toEqual([[8]])
    expect(servers).toEqual(['standby'])
  })

  it('waits for a standby that lags for a moment', async () => {
    const standby = createServer(6)
    const { rows, servers } = exportFrom(createServer(7), standby)
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS / 2)
    expect(servers).toEqual([])
    standby.lastChange = 7
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS / 2)
    expect(await rows).toEqual([[7]])
    expect(servers).toEqual(['standby'])
  })

  it.each([
    ['lags for longer than a read may take', createServer(6), undefined],
    ['belongs to another database', createServer(9, 'e2'), undefined],
    ['fails', createServer(7), new Error('the connection was refused')],
  ])('reads from the primary if the standby %s', async (_, standby, fail) => {
    const { rows, servers } = exportFrom(createServer(7), standby, fail)
    await vi.advanceTimersByTimeAsync(2 * TIMEOUT_MS)
    expect(await rows).toEqual([[7]])
    expect(servers).toEqual(['primary'])
  })
})
