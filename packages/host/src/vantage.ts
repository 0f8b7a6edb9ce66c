import { Resolver } from 'node:dns/promises'
import ipaddr from 'ipaddr.js'
import { type AsnResponse, open } from 'maxmind'

/** Where a program stands: how names resolve for it, what it may dial, and whose network an address is in. */
export interface Vantage {
  /** URL schemes that may be dialled, with their colon. */
  readonly schemes: readonly string[]
  /** Addresses of a host name, IPv4 first; none when there is no such name. Throws when the resolver itself fails. */
  resolve(host: string): Promise<readonly string[]>
  /** Whether an address may be dialled. */
  admit(address: string): boolean
  /** Autonomous system that originates the address; 0 when unknown. */
  network(address: string): Promise<number>
}

/** Public unicast only: nothing private, loopback, link-local, shared, reserved, multicast, mapped or tunnelled. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // RFC 4291: global unicast is 2000::/3; ipaddr.js calls everything without a name of its own unicast.
  return parsed.kind() === 'ipv4' || (parsed.toByteArray()[0]! & 0xe0) === 0x20
}

const noSuchName = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME'])

/** Stands in the public Internet. The network comes from a `.mmdb` file, else from DNS (RFC 7020 origin by Team Cymru's zone). */
export async function publicVantage(options: { readonly mmdbFile?: string } = {}): Promise<Vantage> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  const mmdb = options.mmdbFile ? await open<AsnResponse>(options.mmdbFile) : undefined
  const known = new Map<string, number>()

  const none = (error: NodeJS.ErrnoException): string[] => {
    if (noSuchName.has(error.code ?? '')) return []
    throw error
  }
  const originOf = async (address: string): Promise<number> => {
    if (mmdb) return mmdb.get(address)?.autonomous_system_number ?? 0
    try {
      const records = await resolver.resolveTxt(originName(address))
      return Number(/^\d{1,10}/.exec(records[0]?.join('') ?? '')?.[0] ?? 0)
    } catch {
      return 0
    }
  }
  return {
    schemes: ['https:', 'wss:'],
    async resolve(host) {
      const [v4, v6] = await Promise.all([
        resolver.resolve4(host).catch(none),
        resolver.resolve6(host).catch(none),
      ])
      return [...v4, ...v6]
    },
    admit: isPublicAddress,
    async network(address) {
      const before = known.get(address)
      if (before) return before
      const asn = await originOf(address)
      if (known.size >= 10_000) known.clear()
      if (asn) known.set(address, asn)
      return asn
    },
  }
}

/** Name whose TXT record begins with the origin AS of an address. */
export function originName(address: string): string {
  const bytes = ipaddr.parse(address).toByteArray()
  if (bytes.length === 4) return `${bytes.reverse().join('.')}.origin.asn.cymru.com`
  const nibbles = bytes.flatMap((byte) => [(byte >> 4).toString(16), (byte & 15).toString(16)])
  return `${nibbles.reverse().join('.')}.origin6.asn.cymru.com`
}
