CREATE TABLE "accusations" (
	"app" text NOT NULL,
	"key" text NOT NULL,
	"epoch" integer NOT NULL,
	"events" jsonb NOT NULL,
	"not_before" bigint NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "accusations_app_key_pk" PRIMARY KEY("app","key")
);
--> statement-breakpoint
ALTER TABLE "settlements" DROP CONSTRAINT "settlements_app_epoch_pk";--> statement-breakpoint
ALTER TABLE "settlements" ADD CONSTRAINT "settlements_app_epoch_round_pk" PRIMARY KEY("app","epoch","round");