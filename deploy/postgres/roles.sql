-- Creates the two roles that use the database, each with no more rights than it needs, and sets
-- their passwords. The superuser runs this at each start (docker-compose.yml), so that changed
-- passwords take effect and tables that another role owns are handed over.
--   ticket_line_migration  owns the tables and changes them when a release is installed
--   ticket_line_service    reads and writes rows: the API, the workers and the operators' tool

\getenv migration_password MIGRATION_PASSWORD
\getenv service_password DATABASE_PASSWORD

-- Without this, PostgreSQL would log a statement that fails, including the password.
SET log_min_error_statement = panic;
BEGIN;
-- Without columns in the result, psql prints no password.
SELECT FROM set_config('roles.migration_password', :'migration_password', true);
SELECT FROM set_config('roles.service_password', :'service_password', true);

DO $$
DECLARE
  role text;
  relation record;
BEGIN
  FOREACH role IN ARRAY ARRAY['migration', 'service'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ticket_line_' || role) THEN
      EXECUTE format('CREATE ROLE %I', 'ticket_line_' || role);
    END IF;
    EXECUTE format(
      'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD %L',
      'ticket_line_' || role, current_setting(format('roles.%s_password', role)));
  END LOOP;

  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO ticket_line_migration', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO ticket_line_service', current_database());
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;

  -- In an older release the superuser owned the tables. A table's sequences change owner with it.
  FOR relation IN
    SELECT nspname AS schema, relname AS name
    FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')
      AND nspname NOT LIKE 'pg\_%' AND pg_get_userbyid(relowner) <> 'ticket_line_migration'
  LOOP
    EXECUTE format('ALTER TABLE %I.%I OWNER TO ticket_line_migration', relation.schema, relation.name);
  END LOOP;
  FOR relation IN
    SELECT nspname AS schema FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
  LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO ticket_line_migration', relation.schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ticket_line_service', relation.schema);
    EXECUTE format(
      'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO ticket_line_service',
      relation.schema);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO ticket_line_service', relation.schema);
  END LOOP;
END
$$;

-- Grants the same rights on what later migrations create.
ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration GRANT USAGE ON SCHEMAS TO ticket_line_service;
ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ticket_line_service;
ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration GRANT USAGE ON SEQUENCES TO ticket_line_service;
COMMIT;
