CREATE TABLE "api_keys" (
	"key_id" text collate "C" PRIMARY KEY NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"external" boolean NOT NULL,
	"role" text NOT NULL,
	"name" text NOT NULL,
	"scopes" text[] NOT NULL,
	"event_ids" bigint[],
	"rate_requests" integer,
	"rate_window_s" integer,
	"key_hash" "bytea" NOT NULL,
	"previous_key_hash" "bytea",
	"previous_until" timestamp (6) with time zone,
	"expires_at" timestamp (6) with time zone,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"changed_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (6) with time zone,
	"deleted_at" timestamp (6) with time zone,
	CONSTRAINT "api_keys_rate_is_whole" CHECK (("api_keys"."rate_requests" IS NULL) = ("api_keys"."rate_window_s" IS NULL))
);
--> statement-breakpoint
CREATE TABLE "event_organizers" (
	"event_id" bigint NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"position" smallint NOT NULL,
	"added_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "event_organizers_event_id_user_id_pk" PRIMARY KEY("event_id","user_id")
);
--> statement-breakpoint
-- Without a schema, so that it is the table next to this one.
ALTER TABLE "event_organizers" ADD CONSTRAINT "event_organizers_event_id_events_event_id_fk" FOREIGN KEY ("event_id") REFERENCES "events"("event_id") ON DELETE cascade;--> statement-breakpoint
CREATE INDEX "api_keys_of_user" ON "api_keys" USING btree ("user_id","created_at") WHERE "api_keys"."deleted_at" IS NULL;--> statement-breakpoint
CREATE INDEX "api_keys_changed_at" ON "api_keys" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "api_keys_deleted_at" ON "api_keys" USING btree ("deleted_at") WHERE "api_keys"."deleted_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "event_organizers_of_user" ON "event_organizers" USING btree ("user_id","event_id");--> statement-breakpoint
CREATE INDEX "events_of_owner" ON "events" USING btree ("owner","event_id") WHERE "events"."owner" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "events_shared" ON "events" USING btree ("event_id") WHERE "events"."owner" IS NULL AND "events"."shared";--> statement-breakpoint
-- Until now, all organizers were staff of every event. Events without an owner stay shared by them.
UPDATE "events" SET "shared" = true WHERE "owner" IS NULL AND NOT "shared";
