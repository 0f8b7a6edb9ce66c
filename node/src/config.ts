import { commonEnv } from '@understudy/host/config'
import { parseCoordinate } from '@understudy/protocol/app'
import { z } from 'zod'
import { limitsEnv } from './relay/limits.ts'

const baseUrl = (protocol: RegExp) =>
  z
    .url({ protocol })
    .max(300)
    .refine((value) => !/[?#@]/.test(value), 'expected no credentials, query or fragment')
    .transform((value) => value.replace(/\/+$/, ''))

/** A node's configuration. */
export const nodeEnv = z.object({
  ...commonEnv,
  ...limitsEnv,
  APP: z
    .string()
    .refine((value) => parseCoordinate(value).ok, 'expected 30617:<pubkey>:<identifier>')
    .describe('The app to keep alive: its NIP-34 coordinate'),
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
  MAX_REPOSITORY_BYTES: z.coerce
    .number()
    .int()
    .min(1_000_000)
    .default(4 * 1024 ** 3)
    .describe('Most bytes that the clone may take'),
})

/** The same host and path, spoken to by WebSocket. */
export const relayUrlOf = (publicUrl: string): string => publicUrl.replace(/^http/, 'ws')
