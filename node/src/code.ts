import { stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { createGitHost } from '@understudy/git/serve'
import type { Metrics } from '@understudy/host/metrics'
import { parseCoordinate } from '@understudy/protocol/app'
import { npubEncode } from 'nostr-tools/nip19'
import { createRate, type Rate } from './relay/rate.ts'

/** Requests of one sender at once, and per second. A clone is two or three. */
const burst = 60
const perSecond = 1
/** Senders whose rate is remembered. */
const maxSenders = 10_000

export interface CodeParts {
  /** The bare repository. */
  readonly dir: string
  readonly coordinate: string
  /** Most bytes of one answer. */
  readonly maxBytes: number
  readonly metrics: Metrics
  /** Milliseconds since 1970. */
  now(): number
}

/** The fork for stock git, read-only. */
export interface Code {
  /** Answers when the request is one of git's for this repository; false leaves it to others. */
  handle(req: IncomingMessage, res: ServerResponse): boolean
  /** Ends every git that runs. */
  close(): Promise<void>
}

/** Where a repository lies on a host of code, GRASP-01: `/<npub>/<identifier>.git`. Throws when the coordinate is not one. */
export function codePath(coordinate: string): string {
  const repository = parseCoordinate(coordinate)
  if (!repository.ok) throw new Error(`${coordinate}: ${repository.reason}`)
  const { pubkey, d } = repository.value
  return `/${npubEncode(pubkey)}/${encodeURIComponent(d)}.git`
}

export function createCode({ dir, coordinate, maxBytes, metrics, now }: CodeParts): Code {
  const path = codePath(coordinate)
  const [npub] = path.slice(1).split('/')
  const answers = metrics.counter('git_responses_total', 'Answers to git', ['status'])
  const cutOff = metrics.counter('git_cut_off_total', 'Answers to git that ended before they were complete')
  const senders = new Map<string, Rate>()

  function rateOf(sender: string): Rate {
    const rate = senders.get(sender) ?? createRate(burst, perSecond, now)
    // The one that asked last is the last to be forgotten.
    senders.delete(sender)
    senders.set(sender, rate)
    if (senders.size > maxSenders) senders.delete(senders.keys().next().value!)
    return rate
  }

  const host = createGitHost({
    async find(asked) {
      if (decoded(`/${asked}`) !== decoded(path)) return undefined
      // Nothing may be cloned yet.
      return (await stat(join(dir, 'HEAD')).catch(() => undefined)) && dir
    },
    admit: (req) => rateOf(req.socket.remoteAddress ?? '').take(),
    maxResponseBytes: maxBytes,
  })
  return {
    handle(req, res) {
      const asked = req.url?.split('?', 1)[0] ?? ''
      if (!asked.startsWith(`/${npub}/`) || !/\/(info\/refs|git-(upload|receive)-pack)$/.test(asked))
        return false
      res.once('close', () => {
        if (res.writableFinished) answers.inc({ status: String(res.statusCode) })
        else cutOff.inc()
      })
      host.handle(req, res).catch(() => res.destroy())
      return true
    },
    close: () => host.close(),
  }
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
