import pg from 'pg'

/**
 * What the environment of a database can do to healthy statements: a migration under way leaves
 * plans stale (0A000) or grants wrong (42501), a pooler forgets prepared statements (26000), a
 * trigger or a CHECK of somebody else raises (P0001, 23514).
 */
export type SqlFault = '0A000' | '26000' | '42501' | 'P0001' | '23514'

export const SQL_FAULTS: readonly SqlFault[] = ['0A000', '26000', '42501', 'P0001', '23514']

/**
 * Makes every statement that stores outcomes fail.
 *
 * 0A000 is real: a changed column type invalidates the plans that open connections keep. The others
 * come from a trigger that raises the SQLSTATE, so that the statements fail whoever owns the tables.
 *
 * @returns a function that ends the fault; stale plans stay stale until somebody closes their connections
 */
export async function breakSql(databaseUrl: string, fault: SqlFault): Promise<() => Promise<void>> {
  if (fault === '0A000') {
    await runSql(databaseUrl, 'ALTER TABLE events ALTER COLUMN waiting_count TYPE bigint')
    return () => runSql(databaseUrl, 'ALTER TABLE events ALTER COLUMN waiting_count TYPE integer')
  }
  await runSql(
    databaseUrl,
    `CREATE FUNCTION foreign_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'raised by a foreign trigger' USING ERRCODE = '${fault}'; END $$;
     CREATE TRIGGER foreign_trigger BEFORE INSERT ON commands
       FOR EACH ROW EXECUTE FUNCTION foreign_trigger()`,
  )
  return () => runSql(databaseUrl, 'DROP FUNCTION foreign_trigger CASCADE')
}

async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    // Workers hold locks on these tables for milliseconds; a frozen one for as long as its session lives.
    await client.query(`SET lock_timeout = '5s'`)
    await client.query(sql)
  } finally {
    await client.end().catch(() => undefined)
  }
}
