import { commonEnv } from '@understudy/host/config'
import { z } from 'zod'

/** What the registry reads from its environment. */
export const configSchema = z.object({
  ...commonEnv,
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('Postgres to use; default: an embedded one in DATA_DIR/postgres'),
  ARCHIVE_DIR: z.string().optional().describe('Folder of the raw signed events; default DATA_DIR/archive'),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('What visitors use; default: where it listens'),
  PUBLIC_STACKS_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Stacks API that pages use; default STACKS_API_URL'),
  WEB_DIR: z.string().optional().describe('Built web page to serve as well'),
  POLL_INTERVAL_MS: z.coerce
    .number()
    .int()
    .min(100)
    .max(600_000)
    .optional()
    .describe('Pause between two looks at the chain, ms; default 10000, or 500 with PLACES_FILE'),
})

export type Config = z.output<typeof configSchema>
