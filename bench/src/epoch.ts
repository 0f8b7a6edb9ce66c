import { createHash } from 'node:crypto'
import { addressOf } from '@understudy/chain/transactions'
import { attestationTemplate } from '@understudy/protocol/attestation'
import { commitmentTemplate, commitTo } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import { type NostrEvent, parseEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { type Bundle, outcomeOf } from '@understudy/protocol/outcome'
import { attesterKey, type Rules } from '@understudy/protocol/rules'
import { inputsHash, settlementHash, signedOutcomeTemplate } from '@understudy/protocol/settlement'
import { evenSecret, signHash } from '@understudy/protocol/sip018'
import { type ChainFacts, verifyEpoch } from '@understudy/protocol/verify'
import { loadSigners } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { dice } from './dice.ts'
import type { BenchResult } from './result.ts'

const mirrors = Number(process.env.MIRRORS || 10_000)
const attesters = 7
const chainId = 2_147_483_648
const at = 1_800_000_000

const sha256 = (text: string) => createHash('sha256').update(text).digest()
const hex = (text: string) => sha256(text).toString('hex')
const pick = dice(1)
const owners = Array.from({ length: 100 }, (_, n) => addressOf(hex(`owner ${n}`), chainId))
const pool = `${owners[0]}.reward-pool`
const app = hex('app')
const schedule = { start: 1_000, length: 144, notice: 3, cap: 10n ** 12n }

/** CPU time of this process, s: what others do at the same time does not count. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** What one attester saw of one mirror. */
const reportOf = (mirror: number) => ({
  ...{
    mirror,
    nodeKey: hex(`node ${mirror}`),
    passed: 140 + pick(5),
    failed: pick(3),
    inconclusive: pick(2),
  },
  ...{ reasons: { timeout: pick(3) }, wrongBytes: false, principal: owners[mirror % owners.length]! },
  ...{
    address: `203.0.${mirror >> 8}.${mirror & 255}`,
    asn: 64_512 + (mirror % 500),
    rttMicros: 1 + pick(200_000),
  },
  ...{ geohash: 'u0yjj', commit: hex('commit').slice(0, 40) },
})

/** An epoch as relays hold it, one line of JSON an event, and as the chain settled it. */
async function makeEpoch(): Promise<{ lines: string[]; facts: ChainFacts }> {
  const secrets = Array.from({ length: attesters }, (_, n) => evenSecret(sha256(`attester ${n}`)))
  const signerOf = await loadSigners()
  const lines: string[] = []
  const bundles: Bundle[] = []
  const commitments: { key: string; root: string }[] = []
  for (const [n, secret] of secrets.entries()) {
    const signer = signerOf(secret)
    const header = { stx: owners[n]!, latitude: 50_110_000, longitude: 8_680_000 + n, seed: hex('seed') }
    const reports = Array.from({ length: mirrors }, (_, at) => reportOf(at + 1))
    const { root, attested } = commitTo(header, reports)
    for (const { report, proof } of attested)
      lines.push(JSON.stringify(await signer.signEvent(attestationTemplate(app, 0, report, at, proof))))
    const message = { pool, app, epoch: 0, root, count: mirrors }
    lines.push(
      JSON.stringify(await signer.signEvent(commitmentTemplate(message, header, chainId, secret, at))),
    )
    const key = attesterKey(signer.pubkey)
    commitments.push({ key, root })
    bundles.push({ key, header, reports })
    console.error(`${lines.length} events signed`)
  }
  const rules: Rules = {
    ...{
      version: 1,
      from: 0,
      until: null,
      budget: 10n ** 11n,
      keys: commitments.map(({ key }) => key).sort(),
    },
    ...{ places: 100, levels: ['network'], floor: 500_000, domainBond: 10n ** 9n, fee: 10n ** 9n, grace: 12 },
    ...{
      minBond: 1n,
      faults: 1,
      window: 72,
      challenge: 18,
      claimPeriod: 1_000,
      releaseKey: hex('r'),
      minSeq: 1,
    },
  }
  const bonded = Array.from({ length: mirrors }, (_, n) => ({
    ...{ mirror: n + 1, nodeKey: hex(`node ${n + 1}`), owner: owners[(n + 1) % owners.length]! },
    ...{ bond: 10n ** 8n, since: 900 },
  }))
  const free = 10n ** 12n
  const { root, allocated, count } = outcomeOf({ rules, free, mirrors: bonded, bundles })
  const anchor = { height: 5_000, hash: hex('block') }
  const inputs = { rulesVersion: 1, anchor, commitments, former: [] }
  const message = { pool, app, epoch: 0, round: 0, inputs: inputsHash(inputs), root, allocated, count }
  for (const secret of secrets.slice(0, 4)) {
    const signature = signHash(settlementHash(message, chainId), secret)
    const template = signedOutcomeTemplate(kinds.coSignature, { attempt: 0, inputs, message, signature }, at)
    lines.push(JSON.stringify(await signerOf(secret).signEvent(template)))
  }
  const settlement = {
    ...{ round: 0, rulesVersion: 1, inputs: message.inputs, root, allocated, count },
    ...{ signers: rules.keys.map(() => true), burn: epochEnd(schedule, 0) + 7 },
  }
  const facts = { chainId, pool, app, epoch: 0, schedule, rules, anchor, free, mirrors: bonded, barred: [] }
  return { lines, facts: { ...facts, asset: 'stx', settlement, settledBefore: [], claims: [] } }
}

/** Bare checks are made in batches between those of the closing, so that a slower moment is in both. */
const batch = 64

/** Closing an epoch, from the events' bytes to the root, against checking as many signatures and nothing else. In CPU time. */
export async function bench(): Promise<BenchResult> {
  const verify = await loadVerify()
  const { lines, facts } = await makeEpoch()
  const read = (line: string): NostrEvent => {
    const event = parseEvent(JSON.parse(line))
    if (!event.ok) throw new Error(event.reason)
    return event.value
  }
  let bare = 0
  let checked = 0
  const started = cpuSeconds()
  const events = lines.map(read)
  // Other events than those that are closed at this moment: neither finds the other's in the cache.
  const far = events.length >> 1
  const verdict = verifyEpoch(facts, events, (event) => {
    if (checked % batch === 0) {
      const before = cpuSeconds()
      for (let at = checked; at < Math.min(checked + batch, events.length); at++)
        if (!verify(events[(at + far) % events.length]!)) throw new Error('a bad signature')
      bare += cpuSeconds() - before
    }
    checked++
    return verify(event)
  })
  const closing = cpuSeconds() - started - bare
  if (verdict.ok !== 'match') throw new Error(JSON.stringify(verdict))
  if (checked !== events.length) throw new Error(`${checked} of ${events.length} events were checked`)
  const peakMiB = Math.round(process.resourceUsage().maxRSS / 1_024)
  const ratio = Number((closing / bare).toFixed(3))
  const goal = 1.15
  return {
    ...{ bench: 'epoch', value: Math.round(lines.length / closing), unit: 'events closed per CPU-second' },
    ...{ floor: Math.round(lines.length / bare), ratio, goal, met: ratio <= goal && peakMiB <= 1_536 },
    ...{ mirrors, attesters, events: lines.length, leaves: verdict.outcome.count, peakMiB },
  }
}
