-- Who books waits while the two are built. On large tables build them beforehand with CREATE INDEX CONCURRENTLY, which
-- makes nobody wait: they are then found here.
DROP INDEX IF EXISTS "commands_decided_at";--> statement-breakpoint
DROP INDEX IF EXISTS "idempotency_keys_created_at";--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "commands_oldest_first" ON "commands" USING btree ("decided_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "idempotency_keys_oldest_first" ON "idempotency_keys" USING btree ("created_at");