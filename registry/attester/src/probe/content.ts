import { createHash } from 'node:crypto'
import type { Dialler, DialOptions, Phases } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import { choosePaths, type Fetched, judgeFile, type ReleaseFiles } from './freshness.ts'
import { type Verdict, verdictOfDial, worst } from './verdict.ts'

/** What a visitor's browser sends when an app fails over to another origin. */
export function visitorHeaders(origin: string, entry: boolean): Record<string, string> {
  return {
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    accept: entry ? 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' : '*/*',
    'accept-language': 'en-US,en;q=0.5',
    'accept-encoding': 'gzip, deflate, br',
    ...(origin ? { origin } : {}),
    connection: 'keep-alive',
  }
}

/** Largest file that a probe reads, bytes. */
const maxFileBytes = 8 * 1024 * 1024

export interface ContentTarget {
  /** Base URL, without a trailing slash. */
  readonly web: string
  /** The app's own origin, from which a client would fail over. */
  readonly origin: string
  readonly acceptable: readonly ReleaseFiles[]
  readonly older: readonly ReleaseFiles[]
}

export interface ContentResult {
  readonly verdict: Verdict
  readonly address: string
  /** Of the first fetch that was answered. */
  readonly phases: Phases | null
  /** Shortest wait for a first byte on an open connection, µs; 0 when nothing was answered. */
  readonly firstByteMicros: number
}

/** Fetches the entry page and some files like a visitor, each on a connection of its own, and judges the bytes. */
export async function probeContent(
  target: ContentTarget,
  vantage: Vantage,
  options: DialOptions & { readonly random: () => number; readonly dialler: Dialler },
): Promise<ContentResult> {
  const { random, dialler, ...dialling } = options
  const paths = choosePaths(target.acceptable, target.older, random)
  const verdicts: Verdict[] = []
  let address = ''
  let phases: Phases | null = null
  let firstByteMicros = 0
  for (const path of paths) {
    const entry = path === target.acceptable.at(-1)?.release.entry
    const url = target.web + encodePath(path)
    const headers = visitorHeaders(target.origin, entry)
    const reply = await dialler.dial(url, vantage, { ...dialling, headers, maxBytes: maxFileBytes })
    if (reply.address) address = reply.address
    if (!reply.ok) {
      verdicts.push(verdictOfDial(reply.reason))
      // Whoever does not answer at all will not answer the next question either.
      break
    }
    phases ??= reply.phases
    const micros = Math.max(1, Math.round(reply.phases.firstByte * 1_000))
    firstByteMicros = firstByteMicros === 0 ? micros : Math.min(firstByteMicros, micros)
    const fetched: Fetched = {
      path,
      status: reply.status,
      sha256: createHash('sha256').update(reply.body).digest('hex'),
      cors: allows(reply.headers['access-control-allow-origin'], target.origin),
    }
    verdicts.push(judgeFile(fetched, target.acceptable, target.older))
  }
  return { verdict: worst(verdicts), address, phases, firstByteMicros }
}

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

function allows(header: string | undefined, origin: string): boolean {
  return header === '*' || (origin !== '' && header === origin)
}
