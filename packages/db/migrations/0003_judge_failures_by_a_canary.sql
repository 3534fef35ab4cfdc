CREATE TABLE "forgotten_commands" (
	"command_id" text collate "C" PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TABLE "pruned_lines" (
	"line_name" text collate "C" PRIMARY KEY NOT NULL,
	"decided_before" timestamp (6) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "commands" ADD COLUMN "idempotency_key" text collate "C";--> statement-breakpoint
-- Bookings of waiting lists wait while the index is built. On a large table, build it beforehand with CREATE INDEX
-- CONCURRENTLY, during which nobody waits; this statement then finds it.
CREATE INDEX IF NOT EXISTS "waitlist_entries_waiting" ON "waitlist_entries" USING btree ("event_id","sequence") WHERE "waitlist_entries"."status" = 'waiting';