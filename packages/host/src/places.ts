import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { publicVantage, type Vantage } from './vantage.ts'

const address = z.string().refine((value) => ipaddr.isValid(value), 'expected an IP address')

/** `places.json`: places that a local network pretends to be in, and the names of its hosts. */
export const placesSchema = z.object({
  places: z.array(
    z.object({
      name: z.string(),
      network: z.number().int().min(1).max(4_294_967_295),
      latitude: z.number().min(-90).max(90),
      longitude: z.number().min(-180).max(180),
      addresses: z.array(address),
    }),
  ),
  hosts: z.record(z.string(), address),
})

export type Places = z.infer<typeof placesSchema>

/** The pretended world: names and networks as the file says, nothing outside it may be dialled. */
export function placesVantage(places: Places): Vantage {
  const networks = new Map(places.places.flatMap((p) => p.addresses.map((a) => [a, p.network] as const)))
  const hosts = new Map(Object.entries(places.hosts))
  const admitted = new Set([...networks.keys(), ...hosts.values()])
  return {
    schemes: ['https:', 'wss:', 'http:', 'ws:'],
    resolve: async (host) => {
      const found = hosts.get(host)
      return found ? [found] : []
    },
    admit: (candidate) => admitted.has(candidate),
    network: async (candidate) => networks.get(candidate) ?? 0,
  }
}

const loopback = (url: string): boolean => {
  const host = URL.parse(url)?.hostname ?? ''
  return host === 'localhost' || host === '[::1]' || (ipaddr.IPv4.isValid(host) && host.startsWith('127.'))
}

/** Reads `/v2/info` of a Stacks node; waits up to 10 s for one that is still starting. */
async function fetchStacksInfo(url: string): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000), redirect: 'error' })
      return await response.json()
    } catch (error) {
      if (attempt === 20) throw error
      await delay(500)
    }
  }
}

export interface VantageOptions {
  readonly placesFile?: string
  readonly stacksUrl: string
  readonly mmdbFile?: string
}

/** Why a program may not pretend, or `undefined` when it may. */
export async function pretendingRefused(
  stacksUrl: string,
  fetchInfo: (url: string) => Promise<unknown>,
): Promise<string | undefined> {
  if (!loopback(stacksUrl))
    return 'PLACES_FILE is for a local devnet: STACKS_API_URL is not a loopback address'
  const info = await fetchInfo(`${stacksUrl.replace(/\/$/, '')}/v2/info`).catch(() => undefined)
  const version = z.object({ server_version: z.string() }).safeParse(info)
  if (version.success && version.data.server_version.startsWith('understudy-devnet')) return undefined
  return 'PLACES_FILE is for a local devnet: the node at STACKS_API_URL is not one'
}

/**
 * The program's vantage: the public Internet, or pretended places when `PLACES_FILE` is set, the Stacks node is on loopback
 * and says that it is our devnet. Otherwise prints one line and exits 2. For `main.ts` alone.
 */
export async function vantageOf(
  options: VantageOptions,
  fetchInfo: (url: string) => Promise<unknown> = fetchStacksInfo,
): Promise<Vantage> {
  const { placesFile, stacksUrl, mmdbFile } = options
  if (!placesFile) return publicVantage({ mmdbFile })
  const refused = await pretendingRefused(stacksUrl, fetchInfo)
  if (!refused) {
    try {
      return placesVantage(placesSchema.parse(JSON.parse(await readFile(placesFile, 'utf8'))))
    } catch (error) {
      console.error(`PLACES_FILE: ${error instanceof Error ? error.message.split('\n')[0] : 'unreadable'}`)
      process.exit(2)
    }
  }
  console.error(refused)
  process.exit(2)
}
