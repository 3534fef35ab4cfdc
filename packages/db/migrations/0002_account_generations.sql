-- Registrations wait while the index is built, bookings do not.
ALTER TABLE "users" ADD COLUMN "generation" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "generation_since" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "kept_family_id" uuid;--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "users_active_admins" ON "users" USING btree ("user_id") WHERE "users"."role" = 'admin' AND NOT "users"."disabled";