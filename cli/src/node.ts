import { isHex32 } from '@understudy/protocol/event'
import { z } from 'zod'
import type { Io } from './command.ts'
import { Failure, UsageFailure } from './failure.ts'

const selfSchema = z.object({
  app: z.string(),
  nodeKey: z.string().refine(isHex32),
  stx: z.string(),
  relay: z.string(),
  commit: z.string().nullable(),
  seq: z.number().nullable(),
})

/** What a node says of itself. */
export type NodeSelf = z.infer<typeof selfSchema>

export const selfPath = '/.well-known/understudy.json'
const largestAnswer = 64 * 1024

/** Asks a node who it is. Throws `Failure` when it does not answer, or is no node. */
export async function askNode(endpoint: string): Promise<NodeSelf> {
  const url = endpoint.replace(/\/+$/, '') + selfPath
  let text: string
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000), redirect: 'error' })
    if (!response.ok)
      throw new Failure('no-node', `${url} answered ${response.status}`, 'is a node running there?')
    text = await response.text()
  } catch (cause) {
    if (cause instanceof Failure) throw cause
    throw new Failure('no-node', `${url} does not answer`, 'start the node first: understudy node', { cause })
  }
  const self = parseSelf(text)
  if (self) return self
  throw new Failure('no-node', `${url} is not the answer of a node`, 'is PUBLIC_URL right?')
}

/** What a node answers; nothing where that is no node's answer. */
export function parseSelf(text: string): NodeSelf | undefined {
  if (text.length > largestAnswer) return undefined
  try {
    return selfSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

export const nodeArgs = {
  endpoint: { type: 'string', description: 'URL of the node (PUBLIC_URL)', valueHint: 'url' },
  'node-key': {
    type: 'string',
    description: 'Public key of the node, 64 hex digits (default: the node at the endpoint is asked)',
    valueHint: 'key',
  },
} as const

export function endpointOf(args: { readonly endpoint?: string | undefined }, io: Io): string {
  const endpoint = args.endpoint || io.env.PUBLIC_URL
  if (!endpoint) throw new UsageFailure('no endpoint is named', 'give --endpoint, or set PUBLIC_URL')
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol) || endpoint.length > 200)
    throw new UsageFailure(`--endpoint: ${endpoint} is not an http(s) URL of at most 200 characters`)
  return endpoint
}

/** The node key that is given, or that of the node that runs. */
export async function nodeKeyOf(
  args: { readonly endpoint?: string | undefined; readonly 'node-key'?: string | undefined },
  io: Io,
): Promise<string> {
  const given = args['node-key']
  if (given === undefined) return (await askNode(endpointOf(args, io))).nodeKey
  if (!isHex32(given))
    throw new UsageFailure(`--node-key: ${given} is not a public key`, 'the node prints it when it starts')
  return given
}
