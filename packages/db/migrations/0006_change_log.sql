CREATE TABLE "changes" (
	"event_id" bigint NOT NULL,
	"no" bigint NOT NULL,
	"at" timestamp (6) with time zone NOT NULL,
	"sequence" bigint,
	"type" text NOT NULL,
	"user_id" text collate "C",
	"actor" text collate "C",
	"command_id" text collate "C",
	"data" jsonb,
	CONSTRAINT "changes_event_id_no_pk" PRIMARY KEY("event_id","no")
);
--> statement-breakpoint
CREATE TABLE "webhook_attempts" (
	"attempt_id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "webhook_attempts_attempt_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"webhook_id" uuid NOT NULL,
	"event_id" bigint,
	"first_no" bigint,
	"last_no" bigint,
	"message_id" text NOT NULL,
	"attempt" integer NOT NULL,
	"kind" text NOT NULL,
	"state" text NOT NULL,
	"at" timestamp (6) with time zone NOT NULL,
	"took_ms" integer NOT NULL,
	"status" integer,
	"error" text
);
--> statement-breakpoint
CREATE TABLE "webhook_cursors" (
	"webhook_id" uuid NOT NULL,
	"event_id" bigint NOT NULL,
	"delivered_no" bigint NOT NULL,
	"announced_no" bigint NOT NULL,
	"batch_to" bigint,
	"next_attempt_at" timestamp (6) with time zone,
	"claimed_until" timestamp (6) with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"failing_since" timestamp (6) with time zone,
	CONSTRAINT "webhook_cursors_webhook_id_event_id_pk" PRIMARY KEY("webhook_id","event_id")
);
--> statement-breakpoint
CREATE TABLE "webhook_dispatch" (
	"event_id" bigint PRIMARY KEY NOT NULL,
	"dispatched_no" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"webhook_id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"owner" text collate "C" NOT NULL,
	"owner_role" text NOT NULL,
	"url" text NOT NULL,
	"types" text[],
	"event_ids" bigint[],
	"format" text NOT NULL,
	"description" text,
	"secret" "bytea" NOT NULL,
	"previous_secret" "bytea",
	"previous_secret_until" timestamp (6) with time zone,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	"failing_since" timestamp (6) with time zone,
	"disabled_at" timestamp (6) with time zone,
	"disabled_reason" text
);
--> statement-breakpoint
DROP INDEX "bookings_of_user";--> statement-breakpoint
DROP INDEX "bookings_held_of_user";--> statement-breakpoint
DROP INDEX "waitlist_entries_of_user";--> statement-breakpoint
ALTER TABLE "installation" ADD COLUMN "epoch" uuid DEFAULT gen_random_uuid() NOT NULL;--> statement-breakpoint
ALTER TABLE "installation" ADD COLUMN "webhook_epoch" uuid;--> statement-breakpoint
CREATE INDEX "webhook_attempts_of_webhook" ON "webhook_attempts" USING btree ("webhook_id","attempt_id");--> statement-breakpoint
CREATE INDEX "webhook_attempts_oldest_first" ON "webhook_attempts" USING btree ("at");--> statement-breakpoint
CREATE INDEX "webhook_cursors_due" ON "webhook_cursors" USING btree ("webhook_id","next_attempt_at") WHERE "webhook_cursors"."next_attempt_at" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "webhooks_of_owner" ON "webhooks" USING btree ("owner","created_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "bookings_expiring" ON "bookings" USING btree ("event_id",(("expires_at" AT TIME ZONE 'UTC') - ("expires_at" - "held_at") / 5),"sequence") WHERE "bookings"."status" = 'held' AND "bookings"."reminded_at" IS NULL;--> statement-breakpoint
-- The primary key begins with the user from now on. Its index can be built beforehand.
CREATE UNIQUE INDEX IF NOT EXISTS "claims_user_id_event_id" ON "claims" USING btree ("user_id","event_id");--> statement-breakpoint
ALTER TABLE "claims" DROP CONSTRAINT "claims_event_id_user_id_pk";--> statement-breakpoint
ALTER TABLE "claims" ADD CONSTRAINT "claims_event_id_user_id_pk" PRIMARY KEY USING INDEX "claims_user_id_event_id";--> statement-breakpoint
-- The change log is only ever added to, so that nobody can rewrite what happened. Pruning removes
-- old changes: it sets "ticket_line.pruning" to "on" in its own transaction.
CREATE FUNCTION "refuse_to_rewrite_changes"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'changes are never updated, and only pruning removes them';
END
$$;--> statement-breakpoint
CREATE TRIGGER "changes_are_never_rewritten" BEFORE UPDATE OR DELETE OR TRUNCATE ON "changes"
  FOR EACH STATEMENT WHEN (current_setting('ticket_line.pruning', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION "refuse_to_rewrite_changes"();
