CREATE TABLE "installation" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" uuid NOT NULL,
	"key_prefix" text NOT NULL,
	"shared_lines" integer NOT NULL,
	"shards" integer NOT NULL,
	"drained_at" timestamp (6) with time zone,
	"redis_id" uuid,
	"redis_seen_at" timestamp (6) with time zone,
	"created_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "installation_is_one_row" CHECK ("installation"."only")
);
