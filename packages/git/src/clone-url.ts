import { isIP } from 'node:net'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'

/** What of a vantage (`@understudy/host`) cloning needs. */
export interface CloneVantage {
  /** URL schemes that may be dialled, with their colon. */
  readonly schemes: readonly string[]
  resolve(host: string): Promise<readonly string[]>
  /** Whether an address may be dialled. */
  admit(address: string): boolean
}

/** A URL that git may be given, and the addresses that it must be held to. */
export interface CloneUrl {
  /** Normalised. */
  readonly url: string
  /** `host:port:address[,address]`, as git's `http.curloptResolve` takes it. */
  readonly pin: string
}

const maxUrlLength = 300
/** Enough for any host; curl tries them in turn. */
const maxAddresses = 8

/**
 * Judges a clone URL before git sees it: a scheme of the vantage over HTTP, no credentials, a host name and no IP literal (the URL
 * parser turns decimal, octal and hex spellings into dotted ones first), every address that the name resolves to admitted.
 */
export async function checkCloneUrl(input: string, vantage: CloneVantage): Promise<Parsed<CloneUrl>> {
  const read = parseCloneUrl(input, vantage.schemes)
  if (!read.ok) return read
  const { hostname, protocol, port, href } = read.value
  let addresses: readonly string[]
  try {
    addresses = await vantage.resolve(hostname)
  } catch {
    return refused(`${hostname}: the name could not be resolved just now`)
  }
  if (addresses.length === 0) return refused(`${hostname}: no such host`)
  const bad = addresses.find((address) => isIP(address) === 0 || !vantage.admit(address))
  if (bad) return refused(`${hostname}: ${bad} is not an address that may be dialled`)
  const pinned = addresses.slice(0, maxAddresses).map((a) => (isIP(a) === 6 ? `[${a}]` : a))
  const at = port || (protocol === 'https:' ? '443' : '80')
  return parsed({ url: href, pin: `${hostname}:${at}:${pinned.join(',')}` })
}

function parseCloneUrl(input: string, schemes: readonly string[]): Parsed<URL> {
  if (input.length > maxUrlLength) return refused(`a clone URL has at most ${maxUrlLength} characters`)
  if (input.startsWith('-')) return refused('a clone URL cannot begin with a dash')
  // The URL parser would drop these silently; git would not see what was judged.
  if (/[^\x21-\x7e]/.test(input)) return refused('a clone URL has no spaces, control or non-ASCII characters')
  if (/^[a-z0-9+.-]*::/i.test(input)) return refused('remote helpers (`name::`) are not allowed')
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(input))
    return refused(
      'expected a URL such as https://host/path.git; paths and scp-like addresses are not allowed',
    )
  const url = URL.parse(input)
  if (!url) return refused('not a URL')
  const allowed = ['https:', 'http:'].filter((scheme) => schemes.includes(scheme))
  if (!allowed.includes(url.protocol))
    return refused(`${url.protocol}// is not allowed, only ${allowed.map((s) => `${s}//`).join(' or ')}`)
  if (url.username || url.password) return refused('credentials in a clone URL are not allowed')
  if (url.search || url.hash) return refused('a clone URL has no query and no fragment')
  if (url.hostname.startsWith('[') || isIP(url.hostname))
    return refused(`${url.hostname}: expected a host name, not an IP address`)
  if (!/^(?=.{1,253}$)[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$/.test(url.hostname))
    return refused(`${url.hostname}: not a host name`)
  return parsed(url)
}
