-- Creates the two roles that use the database, each with no more rights than it needs, and sets
-- their passwords:
--   ticket_line_migration  owns the tables and changes them when a release is installed
--   ticket_line_service    reads and writes rows: the API, the workers, the notifiers and `ops`
--
-- Compose runs this at each start, so that changed passwords take effect. Elsewhere, the superuser
-- runs it, or on a managed server the owner of the database, who needs CREATEROLE:
--   MIGRATION_PASSWORD=… DATABASE_PASSWORD=… psql --set=ON_ERROR_STOP=1 --file=roles.sql "$DATABASE"
-- DATABASE_SCHEMA names the schema of the tables (public). In the schema public, the script expects
-- a database that nobody else uses. If others use the database, give ticket-line a schema of its
-- own: the script then changes nothing outside of it.

\getenv migration_password MIGRATION_PASSWORD
\getenv service_password DATABASE_PASSWORD
\set schema ''
\getenv schema DATABASE_SCHEMA

-- Without this, PostgreSQL would log a statement that fails, including the password. Only a
-- superuser may set it.
DO $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    SET log_min_error_statement = panic;
  END IF;
END
$$;
BEGIN;
-- Without columns in the result, psql prints no password.
SELECT FROM set_config('roles.migration_password', :'migration_password', true);
SELECT FROM set_config('roles.service_password', :'service_password', true);
SELECT FROM set_config('roles.schema', :'schema', true);

DO $$
DECLARE
  main_schema CONSTANT text := coalesce(nullif(current_setting('roles.schema'), ''), 'public');
  -- The record of migrations is in a schema of its own if the tables are in `public`.
  schemas CONSTANT text[] := CASE main_schema
    WHEN 'public' THEN ARRAY['public', 'drizzle'] ELSE ARRAY[main_schema] END;
  is_superuser CONSTANT boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
  role text;
  schema text;
  service_rights text;
  relation record;
BEGIN
  FOREACH role IN ARRAY ARRAY['migration', 'service'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ticket_line_' || role) THEN
      EXECUTE format('CREATE ROLE %I', 'ticket_line_' || role);
    END IF;
    -- Nobody else may change these attributes. A new role has none of them.
    IF is_superuser THEN
      EXECUTE format(
        'ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS',
        'ticket_line_' || role);
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', 'ticket_line_' || role,
      current_setting(format('roles.%s_password', role)));
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'ticket_line_' || role);
  END LOOP;

  IF NOT is_superuser THEN
    -- Only a member of that role may grant rights on what it owns.
    EXECUTE format('GRANT ticket_line_migration TO %I', current_user);
  END IF;
  IF main_schema = 'public' THEN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  END IF;

  -- In an earlier version of this script, the role could create schemas, and these rights held for
  -- all of them.
  EXECUTE format('REVOKE CREATE ON DATABASE %I FROM ticket_line_migration', current_database());
  ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration
    REVOKE USAGE ON SCHEMAS FROM ticket_line_service;
  ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration
    REVOKE ALL ON TABLES FROM ticket_line_service;
  ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration
    REVOKE ALL ON SEQUENCES FROM ticket_line_service;

  FOREACH schema IN ARRAY schemas LOOP
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = schema) THEN
      EXECUTE format('CREATE SCHEMA %I', schema);
    END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO ticket_line_migration', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ticket_line_service', schema);

    -- The services only read the record of migrations.
    service_rights := CASE schema
      WHEN 'drizzle' THEN 'SELECT' ELSE 'SELECT, INSERT, UPDATE, DELETE' END;
    -- In an older release the superuser owned these. What a table owns, such as the sequence of an
    -- identity column, changes owner with the table. Objects of extensions are not ours.
    FOR relation IN
      SELECT relkind AS kind, relname AS name, relowner AS owner FROM pg_class c
      WHERE relnamespace = quote_ident(schema)::regnamespace AND relkind IN ('r', 'p', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
          AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
    LOOP
      IF relation.owner <> 'ticket_line_migration'::regrole THEN
        EXECUTE format('ALTER %s %I.%I OWNER TO ticket_line_migration',
          CASE relation.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, schema, relation.name);
      END IF;
    END LOOP;
    FOR relation IN
      SELECT p.oid::regprocedure AS name FROM pg_proc p
      WHERE pronamespace = quote_ident(schema)::regnamespace AND proowner <> 'ticket_line_migration'::regrole
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
          AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
      EXECUTE format('ALTER ROUTINE %s OWNER TO ticket_line_migration', relation.name);
    END LOOP;

    FOR relation IN
      SELECT relkind AS kind, relname AS name FROM pg_class
      WHERE relnamespace = quote_ident(schema)::regnamespace AND relkind IN ('r', 'p', 'S')
        AND relowner = 'ticket_line_migration'::regrole
    LOOP
      IF relation.kind = 'S' THEN
        EXECUTE format('GRANT USAGE ON SEQUENCE %I.%I TO ticket_line_service', schema, relation.name);
      ELSE
        EXECUTE format('REVOKE ALL ON TABLE %I.%I FROM ticket_line_service', schema, relation.name);
        EXECUTE format('GRANT %s ON TABLE %I.%I TO ticket_line_service',
          service_rights, schema, relation.name);
      END IF;
    END LOOP;

    -- The same rights on what later migrations create.
    EXECUTE format(
      'ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration IN SCHEMA %I
         GRANT %s ON TABLES TO ticket_line_service', schema, service_rights);
    EXECUTE format(
      'ALTER DEFAULT PRIVILEGES FOR ROLE ticket_line_migration IN SCHEMA %I
         GRANT USAGE ON SEQUENCES TO ticket_line_service', schema);
  END LOOP;
END
$$;
COMMIT;
