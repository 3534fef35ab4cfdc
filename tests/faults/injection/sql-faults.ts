import pg from 'pg'

/**
 * SQLSTATEs with which correct statements fail because of their environment: a migration makes
 * plans stale (0A000) or changes grants (42501), a pooler loses prepared statements (26000), a
 * trigger or a CHECK that an operator added raises an error (P0001, 23514).
 */
export type SqlFault = '0A000' | '26000' | '42501' | 'P0001' | '23514'

export const SQL_FAULTS: readonly SqlFault[] = ['0A000', '26000', '42501', 'P0001', '23514']

/**
 * Makes every statement that stores outcomes fail.
 *
 * 0A000 is raised by PostgreSQL itself: a changed column type invalidates the plans of open
 * connections. The other SQLSTATEs are raised by a trigger, which works for every owner of the
 * tables.
 *
 * @returns a function that ends the fault. Stale plans stay stale until their connections are
 * closed
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
    // Workers lock these tables for milliseconds, but a frozen worker locks them until its session
    // ends.
    await client.query(`SET lock_timeout = '5s'`)
    await client.query(sql)
  } finally {
    await client.end().catch(() => undefined)
  }
}
