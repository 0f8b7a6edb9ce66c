import { commonEnv, list } from '@understudy/host/config'
import { z } from 'zod'

/** The attester's environment. */
export const config = z.object({
  ...commonEnv,
  ATTESTER_KEY_FILE: z
    .string()
    .optional()
    .describe('File of the 32-byte key, hex; default DATA_DIR/attester.key'),
  DATABASE_URL: z.string().optional().describe('Postgres of your own; default one that runs in DATA_DIR'),
  LATITUDE: z.coerce.number().min(-90).max(90).describe('Where this attester stands, degrees north'),
  LONGITUDE: z.coerce.number().min(-180).max(180).describe('Where this attester stands, degrees east'),
  PROBE_INTERVAL_MS: z.coerce
    .number()
    .int()
    .min(200)
    .default(600_000)
    .describe('Mean pause between two probes of one mirror, ms'),
  PROBE_TIMEOUT_MS: z.coerce.number().int().min(100).default(10_000).describe('Deadline of one exchange, ms'),
  PROBE_CONCURRENCY: z.coerce.number().int().min(1).max(1_000).default(16).describe('Probes at a time'),
  EGRESS_ADDRESS: z.string().optional().describe('Local address to dial from'),
  CHALLENGE_EGRESS_ADDRESS: z
    .string()
    .optional()
    .describe('Local address that challenges leave from; default EGRESS_ADDRESS'),
  APPS: list.default([]).describe('Coordinates of the apps to attest; default every app that lists this key'),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional()
    .describe('Where others reach this attester over HTTP: its observations are served under /evidence/'),
  STX_ADDRESS: z.string().optional().describe("Principal that fees go to; default this key's own address"),
  TX_FEE: z.coerce.bigint().min(1n).default(50_000n).describe('Fee of a settlement transaction, µSTX'),
  CHAIN_POLL_MS: z.coerce
    .number()
    .int()
    .min(50)
    .optional()
    .describe(
      'Pause between two looks at the chain, ms; default a quarter of PROBE_INTERVAL_MS, 250 to 10,000',
    ),
  DELTA_MS: z.coerce
    .number()
    .int()
    .min(100)
    .optional()
    .describe('How late a commitment may arrive, ms; default a third of PROBE_INTERVAL_MS, 1,000 to 60,000'),
  MMDB_FILE: z.string().optional().describe('ASN database in .mmdb format; default DNS look-ups'),
})

export type Config = z.output<typeof config>

const within = (value: number, least: number, most: number) =>
  Math.round(Math.min(most, Math.max(least, value)))

/** The pace that follows from how often mirrors are probed, where it is not set. All in ms. */
export function paceOf(config: Pick<Config, 'PROBE_INTERVAL_MS' | 'CHAIN_POLL_MS' | 'DELTA_MS'>) {
  const interval = config.PROBE_INTERVAL_MS
  return {
    intervalMs: interval,
    chainPollMs: config.CHAIN_POLL_MS ?? within(interval / 4, 250, 10_000),
    deltaMs: config.DELTA_MS ?? within(interval / 3, 1_000, 60_000),
    roundMs: interval * 2,
    pauseMs: within(interval / 5, 50, 5_000),
    forkIntervalMs: within(interval * 10, 10_000, 3_600_000),
    leasePollMs: within(interval / 20, 50, 1_000),
    leaseMs: 6_000,
  }
}
