ALTER TABLE "registry"."attestations" ADD COLUMN "evidence" text;--> statement-breakpoint
ALTER TABLE "registry"."attestations" ADD COLUMN "leaf" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "registry"."attestations" ADD COLUMN "proof" jsonb;--> statement-breakpoint
ALTER TABLE "registry"."commitments" ADD COLUMN "seed" text DEFAULT '' NOT NULL;