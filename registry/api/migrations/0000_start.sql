CREATE SCHEMA "registry";
--> statement-breakpoint
CREATE TABLE "registry"."announcements" (
	"app" text NOT NULL,
	"node_key" text NOT NULL,
	"event_id" text NOT NULL,
	"created_at" bigint NOT NULL,
	"name" text NOT NULL,
	"commit" text NOT NULL,
	"clone" text NOT NULL,
	"web" text NOT NULL,
	"relay" text NOT NULL,
	"geohash" text NOT NULL,
	"country" text NOT NULL,
	"stx" text NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "announcements_app_node_key_pk" PRIMARY KEY("app","node_key")
);
--> statement-breakpoint
CREATE TABLE "registry"."attestations" (
	"event_id" text PRIMARY KEY NOT NULL,
	"created_at" bigint NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"attester" text NOT NULL,
	"mirror" integer NOT NULL,
	"node_key" text NOT NULL,
	"passed" integer NOT NULL,
	"failed" integer NOT NULL,
	"inconclusive" integer NOT NULL,
	"reasons" jsonb NOT NULL,
	"wrong_bytes" boolean NOT NULL,
	"principal" text NOT NULL,
	"address" text NOT NULL,
	"asn" bigint NOT NULL,
	"rtt_micros" integer NOT NULL,
	"geohash" text NOT NULL,
	"commit" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."blobs" (
	"address" text PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."chain_events" (
	"source" text NOT NULL,
	"app" text NOT NULL,
	"seq" integer NOT NULL,
	"head" text NOT NULL,
	"topic" text NOT NULL,
	"burn" integer NOT NULL,
	"height" integer NOT NULL,
	"txid" text NOT NULL,
	"index" integer NOT NULL,
	"hex" text NOT NULL,
	CONSTRAINT "chain_events_source_app_seq_pk" PRIMARY KEY("source","app","seq")
);
--> statement-breakpoint
CREATE TABLE "registry"."commitments" (
	"event_id" text PRIMARY KEY NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"attester" text NOT NULL,
	"pool" text NOT NULL,
	"root" text NOT NULL,
	"count" integer NOT NULL,
	"stx" text NOT NULL,
	"latitude" integer NOT NULL,
	"longitude" integer NOT NULL,
	"signature" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."events" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" integer NOT NULL,
	"pubkey" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."heartbeats" (
	"app" text NOT NULL,
	"node_key" text NOT NULL,
	"event_id" text NOT NULL,
	"created_at" bigint NOT NULL,
	"commit" text NOT NULL,
	CONSTRAINT "heartbeats_app_node_key_pk" PRIMARY KEY("app","node_key")
);
--> statement-breakpoint
CREATE TABLE "registry"."outcomes" (
	"event_id" text PRIMARY KEY NOT NULL,
	"kind" integer NOT NULL,
	"app" text NOT NULL,
	"epoch" integer NOT NULL,
	"attester" text NOT NULL,
	"attempt" bigint NOT NULL,
	"round" bigint NOT NULL,
	"inputs" text NOT NULL,
	"rules_version" bigint NOT NULL,
	"anchor_height" bigint NOT NULL,
	"anchor_hash" text NOT NULL,
	"commitments" jsonb NOT NULL,
	"root" text NOT NULL,
	"allocated" numeric(39, 0) NOT NULL,
	"count" bigint NOT NULL,
	"signature" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."releases" (
	"event_id" text PRIMARY KEY NOT NULL,
	"app" text NOT NULL,
	"kind" integer NOT NULL,
	"pubkey" text NOT NULL,
	"seq" integer NOT NULL,
	"commit" text NOT NULL,
	"files" integer NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "registry"."repositories" (
	"app" text PRIMARY KEY NOT NULL,
	"event_id" text NOT NULL,
	"created_at" bigint NOT NULL,
	"name" text NOT NULL,
	"description" text NOT NULL,
	"clone" text[] NOT NULL,
	"web" text[] NOT NULL,
	"relays" text[] NOT NULL,
	"stx" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "attestations_app_epoch_index" ON "registry"."attestations" USING btree ("app","epoch");--> statement-breakpoint
CREATE INDEX "attestations_app_mirror_epoch_index" ON "registry"."attestations" USING btree ("app","mirror","epoch");--> statement-breakpoint
CREATE INDEX "chain_events_height_index" ON "registry"."chain_events" USING btree ("height");--> statement-breakpoint
CREATE INDEX "commitments_app_epoch_index" ON "registry"."commitments" USING btree ("app","epoch");--> statement-breakpoint
CREATE INDEX "outcomes_app_epoch_inputs_index" ON "registry"."outcomes" USING btree ("app","epoch","inputs");--> statement-breakpoint
CREATE INDEX "releases_app_seq_index" ON "registry"."releases" USING btree ("app","seq" DESC NULLS LAST);