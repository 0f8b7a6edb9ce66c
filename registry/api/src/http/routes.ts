import {
  accountViewSchema,
  appsSchema,
  appViewSchema,
  epochDetailSchema,
  epochsSchema,
  leafProofSchema,
  mirrorDetailSchema,
  mirrorsSchema,
  type NetworkView,
  networkSchema,
} from '@understudy/protocol/api'
import { hex32 } from '@understudy/protocol/schema'
import * as z from 'zod/mini'
import type { Registry } from '../view/registry.ts'

const index = (what: string) =>
  z.pipe(
    z.string().check(z.regex(/^(0|[1-9]\d{0,8})$/, `expected ${what}`)),
    z.transform((text: string) => Number(text)),
  )

/** What can stand in a path or a query. */
export const parameters = {
  app: hex32,
  mirror: index('a mirror id'),
  epoch: index('an epoch'),
  index: index('the index of a leaf'),
  address: z
    .string()
    .check(z.regex(/^S[A-Z0-9]{27,40}(\.[a-zA-Z][a-zA-Z0-9-]{0,127})?$/, 'expected a Stacks address')),
  limit: z._default(index('how many').check(z.minimum(1), z.maximum(200)), 50),
  before: z.optional(index('an epoch')),
}

export type ParameterName = keyof typeof parameters

/** One view: where it is, what it takes, what it gives. The OpenAPI document is made of the same. */
export interface Route {
  /** As hono writes it: `/api/apps/:app`. */
  readonly path: string
  readonly summary: string
  readonly takes: readonly ParameterName[]
  readonly gives: z.ZodMiniType
  /** Undefined where there is no such thing. Parameters are checked. */
  answer(given: Given): Promise<unknown>
}

export interface Given {
  readonly app: string
  readonly mirror: number
  readonly epoch: number
  readonly index: number
  readonly address: string
  readonly limit: number
  readonly before?: number
}

/** Every view of protocol's api.ts. */
export function routesOf(registry: Registry, network: () => NetworkView | undefined): Route[] {
  return [
    {
      path: '/api/network',
      summary: 'What a page needs to build and sign a transaction',
      takes: [],
      gives: networkSchema,
      answer: async () => network(),
    },
    {
      path: '/api/apps',
      summary: 'Every registered app',
      takes: [],
      gives: appsSchema,
      answer: async () => ({ apps: await registry.apps() }),
    },
    {
      path: '/api/apps/:app',
      summary: 'An app: rules, pool, newest release',
      takes: ['app'],
      gives: appViewSchema,
      answer: async ({ app }) => (await registry.picture(app))?.view,
    },
    {
      path: '/api/apps/:app/mirrors',
      summary: 'Its mirrors, as attesters found them',
      takes: ['app'],
      gives: mirrorsSchema,
      answer: async ({ app }) => {
        const picture = await registry.picture(app)
        return picture && { mirrors: picture.mirrors }
      },
    },
    {
      path: '/api/apps/:app/mirrors/:mirror',
      summary: 'One mirror, with its attestations by epoch',
      takes: ['app', 'mirror'],
      gives: mirrorDetailSchema,
      answer: ({ app, mirror }) => registry.mirror(app, mirror),
    },
    {
      path: '/api/apps/:app/accounts/:address',
      summary: 'What a Stacks account has in an app: deposit, mirrors, payments to claim',
      takes: ['app', 'address'],
      gives: accountViewSchema,
      answer: ({ app, address }) => registry.account(app, address),
    },
    {
      path: '/api/apps/:app/epochs',
      summary: 'Its epochs, newest first',
      takes: ['app', 'limit', 'before'],
      gives: epochsSchema,
      answer: async ({ app, limit, before }) => {
        const epochs = await registry.epochs(app, { limit, before })
        return epochs && { epochs }
      },
    },
    {
      path: '/api/apps/:app/epochs/:epoch',
      summary: 'One epoch, with its payouts where they lead to the root on chain',
      takes: ['app', 'epoch'],
      gives: epochDetailSchema,
      answer: ({ app, epoch }) => registry.epoch(app, epoch),
    },
    {
      path: '/api/apps/:app/epochs/:epoch/leaves/:index/proof',
      summary: 'What claim takes for one payout',
      takes: ['app', 'epoch', 'index'],
      gives: leafProofSchema,
      answer: ({ app, epoch, index }) => registry.proof(app, epoch, index),
    },
  ]
}
