import type { AppView, EpochDetail, EpochView, MirrorView } from '@understudy/protocol/api'
import { decodeGeohash } from '@understudy/protocol/place'
import { formatMoney, grouped } from './money.ts'
import { plural, spanOfBlocks } from './time.ts'

/** What the attesters' codes for a failed or inconclusive probe mean to somebody who runs a mirror. */
const reasons: Record<string, string> = {
  'wrong-bytes': 'sent bytes that are not the release',
  'unknown-bytes': 'sent bytes of no release known so far',
  'wrong-answer': 'signed a wrong answer about the repository',
  'bad-answer': 'answered a challenge wrongly',
  stale: 'serves a release older than the grace allows',
  missing: 'lacks a file of the release',
  fork: 'its fork lacks the commit',
  late: 'answered a challenge too late',
  'no-cors': 'does not let other pages read from it (CORS)',
  timeout: 'did not answer in time',
  refused: 'refused the connection',
  unreachable: 'could not be reached',
  unresolved: 'has a name that does not resolve',
  reset: 'dropped the connection',
  tls: 'has a faulty certificate',
  'too-large': 'sent more than the file holds',
  redirects: 'redirects too often',
  'bad-response': 'answered something that is not HTTP',
  'bad-url': 'has an address that is not a URL',
  scheme: 'is not on https',
  credentials: 'has credentials in its address',
  'not-admitted': 'has an address that is not public',
  'no-announcement': 'not announced, so not probed',
  'not-bound': 'announces another wallet, so not probed',
  'no-release': 'nothing released yet, so not probed',
  'no-manifest': "the release's list of files was not to be had",
  'no-relay-answer': 'no answer through the relays (inconclusive)',
  'own-dns': "the attester's name server failed (inconclusive)",
  'own-network': "the attester's network failed (inconclusive)",
  'own-relays': "the attester's relays failed (inconclusive)",
  'own-lag': 'the attester was busy (inconclusive)',
  'own-clone': 'the attester lacked the repository (inconclusive)',
  'own-fault': 'a fault of the attester (inconclusive)',
}

export function reasonInWords(code: string): string {
  const status = /^(?:challenge|status)-(\d{3})$/.exec(code)?.[1]
  return status ? `answered HTTP ${status}` : (reasons[code] ?? code.replaceAll('-', ' '))
}

export const mirrorStates: Record<MirrorView['state'], string> = {
  up: 'Up',
  down: 'Down',
  stale: 'Stale',
  tampering: 'Tampering',
  unknown: 'Not attested yet',
}

/** Why a mirror earns nothing at present, or undefined. */
export function whyUnpaid(mirror: MirrorView, floor: number): string | undefined {
  if (!mirror.bound)
    return 'The node has not confirmed this wallet: its announcement must name the owner before anything is paid.'
  if (mirror.state === 'tampering') return 'Unpaid: it sent bytes that are not the signed release.'
  if (mirror.claim === 'falsified') return 'Unpaid: round trips show that it is not where it claims to be.'
  if (mirror.availability !== null && mirror.availability < floor)
    return `Unpaid: below the floor of ${percent(floor)}.`
  return undefined
}

export function claimInWords(mirror: Pick<MirrorView, 'geohash' | 'claim'>): string {
  if (!mirror.geohash || mirror.claim === 'no claim') return 'claims no place'
  const verdicts = {
    falsified: 'falsified',
    'not falsified': 'claimed (not falsified)',
    'no claim': '',
    unknown: 'claimed (not checked yet)',
  }
  return verdicts[mirror.claim]
}

/** `50.1° N, 8.7° E`, or the geohash itself where it is none. */
export function placeOf(geohash: string): string {
  if (!/^[0-9b-hjkmnp-z]+$/.test(geohash)) return geohash
  const { latitude, longitude } = decodeGeohash(geohash).centre
  const side = (value: number, plus: string, minus: string) =>
    `${Math.abs(value).toFixed(1)}° ${value < 0 ? minus : plus}`
  return `${side(latitude, 'N', 'S')}, ${side(longitude, 'E', 'W')}`
}

export const epochStates: Record<EpochView['state'], string> = {
  running: 'Running',
  closing: 'Being settled',
  settled: 'Settled, in its challenge time',
  payable: 'Payable',
  lapsed: 'Lapsed: nothing settled',
}

/** Whether the registry came to the same outcome from public evidence as the attesters signed. */
export const recomputations: Record<EpochDetail['recomputed'], string> = {
  same: 'The registry recomputed this outcome from the published attestations and came to the root on chain.',
  differs:
    'The published attestations do not lead to the root on chain: this settlement should be looked into.',
  incomplete:
    'The registry does not hold every attestation behind this settlement yet, so it cannot list the payments.',
  none: 'Nothing is settled yet.',
}

/** ppm as per cent, rounded down so that 99.99 never reads as 100. */
export function percent(ppm: number): string {
  return `${(Math.floor(ppm / 100) / 100).toLocaleString('en')}\u00a0%`
}

/** How long the pool lasts. Days only where a block takes its ten minutes: on mainnet. */
export function lasts(app: Pick<AppView, 'pool' | 'schedule'>, chainId: number): string {
  const { epochsLeft } = app.pool
  if (BigInt(app.pool.free) === 0n) return 'empty'
  if (epochsLeft === null) return 'no budget'
  if (epochsLeft === 0) return 'less than one epoch'
  const epochs = plural(epochsLeft, 'epoch')
  return chainId === 1 ? `${epochs}, ${spanOfBlocks(epochsLeft * app.schedule.length)}` : epochs
}

/** The rules that a funder accepts and an operator is paid by, a sentence each. */
export function rulesInWords(app: Pick<AppView, 'rules' | 'schedule' | 'asset'>): string[] {
  const { rules, schedule } = app
  const money = (amount: string) => formatMoney(amount, app.asset)
  const levels = rules.levels.join(', then by ')
  return [
    `Each epoch of ${plural(schedule.length, 'burn block')} pays out at most ${money(rules.budget)}, attesters' fees of at most ${money(rules.fee)} included. No change of the rules can raise that above ${money(schedule.cap)}.`,
    `The money is for ${plural(rules.places, 'place')}, told apart by ${levels}. Each live place gets the same; mirrors in one place share it.`,
    `A mirror needs a bond of ${money(rules.minBond)} or more; ${money(rules.domainBond)} count in one network.`,
    `It earns in proportion to its availability, and nothing below ${percent(rules.floor)} or when it sends wrong bytes. A new release must be served within ${plural(rules.grace, 'block')}.`,
    `${rules.threshold} of ${plural(rules.attesters.length, 'attester')} must sign an epoch's outcome, within ${plural(rules.window, 'block')} of its end; payment follows ${plural(rules.challenge, 'block')} later.`,
    `Rules change at the earliest ${plural(schedule.notice, 'epoch')} after they are announced.`,
  ]
}

/** How far off a burn height is. */
export function heightInWords(height: number, now: number): string {
  if (height === now) return 'now'
  const blocks = plural(Math.abs(height - now), 'block')
  return height > now ? `in ${blocks}` : `${blocks} ago`
}

export const blockNumber = (height: number): string => `block ${grouped(height)}`
