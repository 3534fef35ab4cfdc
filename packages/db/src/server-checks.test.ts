import type pg from 'pg'
import { describe, expect, it } from 'vitest'
import { assertOwnSessions } from './server-checks.js'

type Queryable = Pick<pg.ClientBase, 'query'>

/**
 * Two clients of a pooler that gives each transaction the server that was returned last, as
 * PgBouncer does.
 *
 * @param servers process ids of its idle servers, the next one last
 */
function clientsOf(pooler: 'transaction' | 'session', servers: number[]): [Queryable, Queryable] {
  const client = (): Queryable => {
    let held: number | undefined
    const query = async (text: string) => {
      held ??= servers.pop()
      const rows = [{ pid: held }]
      if (pooler === 'transaction' && text !== 'BEGIN') {
        servers.push(held as number)
        held = undefined
      }
      return { rows }
    }
    return { query } as unknown as Queryable
  }
  return [client(), client()]
}

describe('assertOwnSessions', () => {
  it('accepts connections that have a session each', async () => {
    await expect(assertOwnSessions(...clientsOf('session', [1, 2]))).resolves.toBeUndefined()
  })

  it('refuses two connections that get the same session in turn', async () => {
    await expect(assertOwnSessions(...clientsOf('transaction', [1, 2]))).rejects.toThrow(
      /pool_mode to session/,
    )
  })

  it('names the setting of the address', async () => {
    const [one, two] = clientsOf('transaction', [1])
    await expect(assertOwnSessions(one, two, 'DATABASE_READ_URL')).rejects.toThrow(
      /point DATABASE_READ_URL at PostgreSQL itself$/,
    )
  })

  it('refuses a connection that gets another session while the first one is in use', async () => {
    // Other clients take and return servers in between, so the two never get the same one in turn.
    let turn = 0
    const pids = [1, 2, 3]
    const one = { query: async () => ({ rows: [{ pid: pids[turn++] }] }) } as unknown as Queryable
    const two = {
      query: async (text: string) => ({
        rows: text.startsWith('SELECT') ? [{ pid: pids[turn++] }] : [],
      }),
    } as unknown as Queryable
    await expect(assertOwnSessions(one, two)).rejects.toThrow(/pool_mode to session/)
  })
})
