import { commonEnv, list } from '@understudy/host/config'
import { parseCoordinate } from '@understudy/protocol/app'
import { decode } from 'nostr-tools/nip19'
import { z } from 'zod'
import { limitsEnv } from './relay/limits.ts'

const baseUrl = (protocol: RegExp) =>
  z
    .url({ protocol })
    .max(300)
    .refine((value) => !/[?#@]/.test(value), 'expected no credentials, query or fragment')
    .transform((value) => value.replace(/\/+$/, ''))

export const appVariable = z
  .string()
  .refine((value) => parseCoordinate(value).ok, 'expected 30617:<pubkey>:<identifier>')
  .describe('The app to keep alive: its NIP-34 coordinate')

/** Public keys, comma-separated. */
export const pubkeys = list
  .pipe(z.array(z.string().regex(/^[0-9a-f]{64}$/, 'expected public keys as hex')))
  .optional()

function pubkeyOfNpub(value: string): string | undefined {
  try {
    const decoded = decode(value)
    return decoded.type === 'npub' ? decoded.data : undefined
  } catch {
    return undefined
  }
}

/** A node's configuration. */
export const nodeEnv = z.object({
  ...commonEnv,
  ...limitsEnv,
  APP: appVariable,
  REPOSITORY_URL: z.string().min(1).max(300).describe('Clone URL of your fork'),
  PUBLIC_URL: baseUrl(/^https?$/).describe('Where visitors reach this node'),
  PUBLIC_RELAY_URL: baseUrl(/^wss?$/)
    .optional()
    .describe("Where its relay is reached; default PUBLIC_URL's host"),
  STX_ADDRESS: z
    .string()
    .regex(/^S[A-Z0-9]{27,41}(\.[A-Za-z][A-Za-z0-9-]{0,39})?$/, 'expected a Stacks principal')
    .describe('Who is paid; the wallet that registers the mirror'),
  NAME: z.string().min(1).max(64).optional().describe('A short name for people; default the public host'),
  GEOHASH: z
    .string()
    .regex(/^[0-9b-hjkmnp-z]{3,9}$/, 'expected a geohash of 3 to 9 characters')
    .optional()
    .describe('Where the server stands, as a geohash'),
  COUNTRY: z
    .string()
    .regex(/^[A-Z]{2}$/, 'expected two capital letters')
    .optional()
    .describe('Its country, ISO 3166-1 alpha-2'),
  ADMINS: pubkeys.describe("Public keys that may administer the node's relay (NIP-86), comma-separated"),
  NODE_KEY: z
    .string()
    .regex(/^([0-9a-f]{64}|ncryptsec1[a-z0-9]+)$/, 'expected 64 hex digits or ncryptsec1…')
    .optional()
    .describe("The node's secret key where the disk does not last; default a file in DATA_DIR"),
  NODE_KEY_PASSWORD: z.string().min(1).optional().describe('Password of a key that is encrypted (NIP-49)'),
  ALERT_WEBHOOK: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('URL that is sent a JSON message when the mirror fails probes or is not ready'),
  ALERT_NPUB: z
    .string()
    .refine((value) => pubkeyOfNpub(value) !== undefined, 'expected npub1…')
    .transform((value) => pubkeyOfNpub(value)!)
    .optional()
    .describe('Nostr key that is sent the same as a private message (NIP-17) over RELAYS'),
  RELEASE_MODE: z
    .enum(['static', 'build'])
    .default('static')
    .describe("static serves a commit's own files; build also runs the command that a release names"),
  BUILD_TIMEOUT_SECONDS: z.coerce
    .number()
    .min(1)
    .max(86_400)
    .default(600)
    .describe('Longest that a build may take'),
  UPDATE_SPREAD_SECONDS: z.coerce
    .number()
    .min(0)
    .max(3_600)
    .default(60)
    .describe('Seconds over which mirrors spread an update, so that not all switch at once'),
  MAX_REPOSITORY_BYTES: z.coerce
    .number()
    .int()
    .min(1_000_000)
    .default(4 * 1024 ** 3)
    .describe('Most bytes that the clone may take'),
})

/** The same host and path, spoken to by WebSocket. */
export const relayUrlOf = (publicUrl: string): string => publicUrl.replace(/^http/, 'ws')
