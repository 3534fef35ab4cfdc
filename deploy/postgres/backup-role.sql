-- Creates the role of the backup and sets its password. It may copy the server's files, and connect
-- to the database. It may read no table.

\getenv backup_password BACKUP_PASSWORD

-- Without this, PostgreSQL would log a statement that fails, including the password.
SET log_min_error_statement = panic;
BEGIN;
-- Without columns in the result, psql prints no password.
SELECT FROM set_config('roles.backup_password', :'backup_password', true);

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ticket_line_backup') THEN
    CREATE ROLE ticket_line_backup;
  END IF;
  EXECUTE format(
    'ALTER ROLE ticket_line_backup LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD %L',
    current_setting('roles.backup_password'));
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO ticket_line_backup', current_database());
END
$$;
COMMIT;
