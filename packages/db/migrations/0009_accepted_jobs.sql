CREATE TABLE "accepted_jobs" (
	"job_id" text collate "C" PRIMARY KEY NOT NULL,
	"accepted_no" bigint GENERATED ALWAYS AS IDENTITY (sequence name "accepted_jobs_accepted_no_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"line_name" text collate "C" NOT NULL,
	"payload" jsonb NOT NULL,
	"accepted_at" timestamp (6) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "accepted_jobs_accepted_no_unique" UNIQUE("accepted_no")
);
