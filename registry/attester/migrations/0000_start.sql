CREATE TABLE "epochs" (
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"followed_from" integer NOT NULL,
	"commitment" text,
	"abstained" text,
	"cut_off_at" bigint DEFAULT 0 NOT NULL,
	"demanded" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"final" text,
	CONSTRAINT "epochs_app_epoch_pk" PRIMARY KEY("app","epoch")
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" integer NOT NULL,
	"pubkey" text NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"created_at" bigint NOT NULL,
	"received_at" bigint NOT NULL,
	"outgoing" text,
	"event" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "observations" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"mirror" integer NOT NULL,
	"at" bigint NOT NULL,
	"node_key" text NOT NULL,
	"principal" text NOT NULL,
	"outcome" text NOT NULL,
	"reason" text NOT NULL,
	"wrong_bytes" boolean NOT NULL,
	"address" text NOT NULL,
	"asn" bigint NOT NULL,
	"rtt_micros" integer NOT NULL,
	"geohash" text NOT NULL,
	"commit" text NOT NULL,
	"phases" jsonb
);
--> statement-breakpoint
CREATE TABLE "settlements" (
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"state" text NOT NULL,
	"round" integer NOT NULL,
	"inputs" text NOT NULL,
	"root" text NOT NULL,
	"allocated" text NOT NULL,
	"count" integer NOT NULL,
	"signatures" jsonb NOT NULL,
	"not_before" bigint NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"txid" text,
	"tx_hex" text,
	CONSTRAINT "settlements_app_epoch_pk" PRIMARY KEY("app","epoch")
);
--> statement-breakpoint
CREATE TABLE "signed_outcomes" (
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"round" integer NOT NULL,
	"inputs" text NOT NULL,
	"hash" text NOT NULL,
	CONSTRAINT "signed_outcomes_app_epoch_round_inputs_pk" PRIMARY KEY("app","epoch","round","inputs")
);
--> statement-breakpoint
CREATE TABLE "targets" (
	"app" text NOT NULL,
	"mirror" integer NOT NULL,
	"due_at" bigint NOT NULL,
	"leased_until" bigint DEFAULT 0 NOT NULL,
	"address" text DEFAULT '' NOT NULL,
	"lowest_micros" integer DEFAULT 0 NOT NULL,
	"fork_checked_at" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "targets_app_mirror_pk" PRIMARY KEY("app","mirror")
);
--> statement-breakpoint
CREATE INDEX "events_app_kind_epoch_index" ON "events" USING btree ("app","kind","epoch");--> statement-breakpoint
CREATE INDEX "events_outgoing_index" ON "events" USING btree ("outgoing");--> statement-breakpoint
CREATE INDEX "observations_app_epoch_index" ON "observations" USING btree ("app","epoch");--> statement-breakpoint
CREATE INDEX "targets_due_at_index" ON "targets" USING btree ("due_at");