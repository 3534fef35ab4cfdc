CREATE TABLE "bookings" (
	"event_id" bigint NOT NULL,
	"sequence" bigint NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"status" text NOT NULL,
	"promoted" boolean NOT NULL,
	"booked_at" timestamp (6) with time zone NOT NULL,
	"canceled_at" timestamp (6) with time zone,
	CONSTRAINT "bookings_event_id_sequence_pk" PRIMARY KEY("event_id","sequence"),
	CONSTRAINT "bookings_status_known" CHECK ("bookings"."status" IN ('confirmed', 'canceled'))
);
--> statement-breakpoint
CREATE TABLE "claims" (
	"event_id" bigint NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"kind" text NOT NULL,
	"sequence" bigint NOT NULL,
	CONSTRAINT "claims_event_id_user_id_pk" PRIMARY KEY("event_id","user_id"),
	CONSTRAINT "claims_kind_known" CHECK ("claims"."kind" IN ('booking', 'waiting'))
);
--> statement-breakpoint
CREATE TABLE "command_starts" (
	"command_id" text collate "C" PRIMARY KEY NOT NULL,
	"starts" smallint NOT NULL,
	"last_start_at" timestamp (6) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "commands" (
	"command_id" text collate "C" PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"event_id" bigint NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"caller" text collate "C" NOT NULL,
	"outcome" text NOT NULL,
	"position" integer,
	"booking_sequence" bigint,
	"promoted_user_id" text collate "C",
	"replay_of" text collate "C",
	"accepted_at" timestamp (6) with time zone NOT NULL,
	"decided_at" timestamp (6) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"event_id" bigint PRIMARY KEY NOT NULL,
	"total_tickets" integer NOT NULL,
	"available_tickets" integer NOT NULL,
	"waiting_count" integer DEFAULT 0 NOT NULL,
	"last_sequence" bigint DEFAULT 0 NOT NULL,
	"waitlist_head_sequence" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "events_id_in_range" CHECK ("events"."event_id" BETWEEN 1 AND 9007199254740991),
	CONSTRAINT "events_size_in_range" CHECK ("events"."total_tickets" BETWEEN 0 AND 1000000),
	CONSTRAINT "events_never_oversold" CHECK (0 <= "events"."available_tickets" AND "events"."available_tickets" <= "events"."total_tickets"),
	CONSTRAINT "events_no_free_ticket_while_waiting" CHECK ("events"."waiting_count" = 0 OR ("events"."available_tickets" = 0 AND "events"."waiting_count" > 0))
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"caller" text collate "C" NOT NULL,
	"key_hash" text collate "C" NOT NULL,
	"command_id" text collate "C" NOT NULL,
	"created_at" timestamp (6) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_caller_key_hash_pk" PRIMARY KEY("caller","key_hash")
);
--> statement-breakpoint
CREATE TABLE "refresh_tokens" (
	"token_hash" text collate "C" PRIMARY KEY NOT NULL,
	"family_id" uuid NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"expires_at" timestamp (6) with time zone NOT NULL,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"user_id" text collate "C" PRIMARY KEY NOT NULL,
	"password_hash" text NOT NULL,
	"role" text DEFAULT 'user' NOT NULL,
	"disabled" boolean DEFAULT false NOT NULL,
	"privileges_changed_at" timestamp (6) with time zone,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_role_known" CHECK ("users"."role" IN ('user', 'organizer', 'admin'))
);
--> statement-breakpoint
CREATE TABLE "waitlist_blocks" (
	"event_id" bigint NOT NULL,
	"block" bigint NOT NULL,
	"waiting_count" integer NOT NULL,
	CONSTRAINT "waitlist_blocks_event_id_block_pk" PRIMARY KEY("event_id","block"),
	CONSTRAINT "waitlist_blocks_count_in_range" CHECK ("waitlist_blocks"."waiting_count" BETWEEN 0 AND 1024)
);
--> statement-breakpoint
CREATE TABLE "waitlist_entries" (
	"event_id" bigint NOT NULL,
	"sequence" bigint NOT NULL,
	"user_id" text collate "C" NOT NULL,
	"status" text NOT NULL,
	"since" timestamp (6) with time zone NOT NULL,
	"left_at" timestamp (6) with time zone,
	CONSTRAINT "waitlist_entries_event_id_sequence_pk" PRIMARY KEY("event_id","sequence"),
	CONSTRAINT "waitlist_entries_status_known" CHECK ("waitlist_entries"."status" IN ('waiting', 'promoted', 'withdrawn'))
);
--> statement-breakpoint
CREATE INDEX "commands_decided_at" ON "commands" USING brin ("decided_at");--> statement-breakpoint
CREATE INDEX "idempotency_keys_created_at" ON "idempotency_keys" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "refresh_tokens_family" ON "refresh_tokens" USING btree ("family_id");--> statement-breakpoint
CREATE INDEX "refresh_tokens_user" ON "refresh_tokens" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "refresh_tokens_expires_at" ON "refresh_tokens" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "users_privileges_changed_at" ON "users" USING btree ("privileges_changed_at") WHERE "users"."privileges_changed_at" IS NOT NULL;