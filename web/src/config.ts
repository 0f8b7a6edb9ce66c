import type { Parsed } from '@understudy/protocol/event'
import { parsed, refused } from '@understudy/protocol/event'
import * as z from 'zod/mini'
import { fetched } from './fetched.ts'

const configSchema = z.object({
  /** Base URL of the registry's API; empty: the origin that serves this page. */
  apiUrl: z._default(z.string().check(z.maxLength(300)), ''),
  /** Who deployed the contracts. When named, an API that names other contracts is not believed. */
  deployer: z.optional(z.string().check(z.regex(/^S[0-9A-Z]{20,50}$/))),
})

export interface Config {
  /** Without a trailing slash. */
  readonly apiUrl: string
  readonly deployer: string | undefined
}

/** Reads `config.json` beside the page. A host without one serves the API from the same origin. */
export async function readConfig(page: string): Promise<Parsed<Config>> {
  const read = await fetched(new URL('./config.json', page).href, configSchema)
  if (!read.ok && read.reason !== 'not found') return refused(`config.json: ${read.reason}`)
  const { apiUrl, deployer } = read.ok ? read.value : { apiUrl: '', deployer: undefined }
  try {
    const url = new URL(apiUrl || new URL(page).origin, page)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      return refused('config.json: apiUrl is not a web address')
    return parsed({ apiUrl: url.href.replace(/\/+$/, ''), deployer })
  } catch {
    return refused('config.json: apiUrl is not a web address')
  }
}
