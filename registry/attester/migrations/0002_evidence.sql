CREATE TABLE "evidence" (
	"hash" text PRIMARY KEY NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"mirror" integer NOT NULL,
	"text" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "watches" (
	"app" text PRIMARY KEY NOT NULL,
	"seen_at" bigint NOT NULL,
	"burn_height" integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE "epochs" ADD COLUMN "down_blocks" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "observations" ADD COLUMN "due" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "observations" ADD COLUMN "interval_ms" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
CREATE INDEX "evidence_app_epoch_index" ON "evidence" USING btree ("app","epoch");