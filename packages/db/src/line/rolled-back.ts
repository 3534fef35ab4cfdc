import type pg from 'pg'

/** Ends the transaction of a connection. @returns false if the connection is of no more use */
export async function rolledBack(client: pg.ClientBase): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}
