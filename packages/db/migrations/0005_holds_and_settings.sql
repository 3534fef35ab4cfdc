-- Without a schema, so that it is created where the tables are.
CREATE SEQUENCE "event_ids" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1000001 CACHE 1;--> statement-breakpoint
ALTER TABLE "bookings" DROP CONSTRAINT "bookings_status_known";--> statement-breakpoint
ALTER TABLE "claims" DROP CONSTRAINT "claims_kind_known";--> statement-breakpoint
ALTER TABLE "waitlist_entries" DROP CONSTRAINT "waitlist_entries_status_known";--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "granted" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "held_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "hold_seconds" integer;--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "expires_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "confirmed_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "bookings" ADD COLUMN "reminded_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "commands" ADD COLUMN "data" jsonb;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "capacity" integer;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "held_count" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "due_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "canceled_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "last_change" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "owner" text collate "C";--> statement-breakpoint
-- Events that exist are shared by all organizers. Those that are made from now on have an owner.
ALTER TABLE "events" ADD COLUMN "shared" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "shared" SET DEFAULT false;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "listed" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "name" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "name_key" text collate "C";--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "starts_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "ends_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "timezone" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "venue" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "url" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "opens_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "closes_at" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "paused" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "promoting" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "hold_seconds" integer;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "offer_seconds" integer;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "max_hold_seconds" integer;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "confirmation" text DEFAULT 'holder' NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "max_waiting" integer;--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD COLUMN "request_hash" text collate "C";--> statement-breakpoint
CREATE INDEX "bookings_held" ON "bookings" USING btree ("event_id","expires_at","sequence") WHERE "bookings"."status" = 'held';--> statement-breakpoint
CREATE INDEX "bookings_of_user" ON "bookings" USING btree ("user_id",coalesce("confirmed_at", "booked_at")) WHERE "bookings"."status" = 'confirmed';--> statement-breakpoint
CREATE INDEX "bookings_held_of_user" ON "bookings" USING btree ("user_id","booked_at") WHERE "bookings"."status" = 'held';--> statement-breakpoint
CREATE INDEX "bookings_ended_of_user" ON "bookings" USING btree ("user_id","canceled_at") WHERE "bookings"."status" IN ('canceled', 'expired', 'event_canceled');--> statement-breakpoint
CREATE INDEX "claims_lapsed" ON "claims" USING btree ("event_id","user_id") WHERE "claims"."kind" = 'lapsed';--> statement-breakpoint
CREATE INDEX "events_due" ON "events" USING btree ("due_at","event_id") WHERE "events"."due_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_listed" ON "events" USING btree ("event_id") WHERE "events"."listed";--> statement-breakpoint
CREATE INDEX "events_by_start" ON "events" USING btree ("starts_at","event_id");--> statement-breakpoint
CREATE INDEX "events_by_name" ON "events" USING btree ("name_key","event_id") WHERE "events"."name_key" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_opening" ON "events" USING btree ("opens_at") WHERE "events"."opens_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_closing" ON "events" USING btree ("closes_at");--> statement-breakpoint
CREATE INDEX "events_stopped" ON "events" USING btree ("event_id") WHERE "events"."paused" OR "events"."canceled_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_ending" ON "events" USING btree ("event_id") WHERE "events"."canceled_at" IS NOT NULL AND "events"."due_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_withheld" ON "events" USING btree ("event_id") WHERE "events"."capacity" > "events"."total_tickets" AND "events"."canceled_at" IS NULL;--> statement-breakpoint
CREATE INDEX "waitlist_entries_of_user" ON "waitlist_entries" USING btree ("user_id","since") WHERE "waitlist_entries"."status" = 'waiting';--> statement-breakpoint
CREATE INDEX "waitlist_entries_ended_of_user" ON "waitlist_entries" USING btree ("user_id","left_at") WHERE "waitlist_entries"."status" IN ('withdrawn', 'event_canceled');--> statement-breakpoint
ALTER TABLE "bookings" ADD CONSTRAINT "bookings_hold_has_deadline" CHECK ("bookings"."status" <> 'held' OR ("bookings"."expires_at" IS NOT NULL AND "bookings"."held_at" IS NOT NULL AND "bookings"."hold_seconds" IS NOT NULL));--> statement-breakpoint
ALTER TABLE "bookings" ADD CONSTRAINT "bookings_status_known" CHECK ("bookings"."status" IN ('confirmed', 'held', 'canceled', 'expired', 'event_canceled'));--> statement-breakpoint
ALTER TABLE "claims" ADD CONSTRAINT "claims_kind_known" CHECK ("claims"."kind" IN ('booking', 'held', 'waiting', 'lapsed'));--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_capacity_in_range" CHECK ("events"."capacity" BETWEEN 0 AND 1000000);--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_held_in_range" CHECK ("events"."held_count" BETWEEN 0 AND "events"."total_tickets" - "events"."available_tickets");--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_canceled_has_no_free_ticket" CHECK ("events"."canceled_at" IS NULL OR "events"."available_tickets" = 0);--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_confirmation_known" CHECK ("events"."confirmation" IN ('holder', 'staff'));--> statement-breakpoint
ALTER TABLE "waitlist_entries" ADD CONSTRAINT "waitlist_entries_status_known" CHECK ("waitlist_entries"."status" IN ('waiting', 'promoted', 'withdrawn', 'granted', 'event_canceled'));