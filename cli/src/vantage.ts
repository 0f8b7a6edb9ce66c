import { readFileSync } from 'node:fs'
import { placesSchema, placesVantage, pretendingRefused } from '@understudy/host/places'
import { publicVantage, type Vantage } from '@understudy/host/vantage'
import type { Io } from './command.ts'
import { Failure } from './failure.ts'

/** Where we stand: the public Internet, or the local network's pretended places when PLACES_FILE is set beside a local chain. */
export async function vantageHere(io: Io): Promise<Vantage> {
  const file = io.env.PLACES_FILE
  if (!file) return publicVantage()
  const stacksUrl = io.env.STACKS_API_URL ?? ''
  const refused = await pretendingRefused(stacksUrl, async (url) =>
    (await fetch(url, { signal: AbortSignal.timeout(5_000) })).json(),
  )
  if (refused) throw new Failure('pretending', refused, 'unset PLACES_FILE')
  try {
    return placesVantage(placesSchema.parse(JSON.parse(readFileSync(file, 'utf8'))))
  } catch (cause) {
    throw new Failure('bad-places', `PLACES_FILE: ${file} is not readable`, 'unset PLACES_FILE', { cause })
  }
}
