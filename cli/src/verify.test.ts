import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cl, ClarityType, type ClarityValue, cvToHex, hexToCV, serializeCVBytes } from '@stacks/transactions'
import { verifyBundle } from '@understudy/chain/verify'
import { type EpochBundle, printSources, readBundle, writeBundle } from '@understudy/protocol/epochBundle'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { explainMirror } from '@understudy/protocol/explain'
import { kinds } from '@understudy/protocol/kinds'
import { hashLeaf, merkleRoot, type PayoutLeaf, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { parseSignedOutcome, protocolVersion, settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { type Match, type Verdict, verifyEpoch } from '@understudy/protocol/verify'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { understudy } from './understudy.ts'

// The vector is the bundle of an epoch that ran: see epoch.test.ts, which writes it.
const file = new URL('../../packages/protocol/vectors/epoch.bundle', import.meta.url)
const bytes = readFileSync(file)
const original = (() => {
  const read = readBundle(bytes)
  if (!read.ok) throw new Error(read.reason)
  return read.value
})()
const asked = { app: original.app, epoch: original.epoch }
/** The attesters of the vector, for tests in which they lie. */
const secrets = new Map(
  ['a1', 'a2', 'a3'].map((byte) => {
    const secret = Buffer.from(byte.repeat(32), 'hex')
    return [signerOf(secret).pubkey, secret]
  }),
)

let verify: Verify
let folder: string
beforeAll(async () => {
  verify = await loadVerify()
  folder = mkdtempSync(join(tmpdir(), 'cli-verify-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const judge = (bundle: EpochBundle): Verdict => verifyBundle(Buffer.from(writeBundle(bundle)), asked, verify)
const vector = (): Match => {
  const verdict = judge(original)
  if (verdict.ok !== 'match') throw new Error(JSON.stringify(verdict))
  return verdict
}
/** The step and the mirror at which a bundle that was changed, and given a fitting digest again, is found out. */
const where = (bundle: EpochBundle): string => {
  const verdict = judge(bundle)
  if (verdict.ok !== 'mismatch') return verdict.ok
  return verdict.mirror === undefined ? verdict.step : `${verdict.step} ${verdict.mirror}`
}

const isAbout = (mirror: number) => (event: NostrEvent) =>
  event.kind === kinds.attestation &&
  event.tags.some(([name, value]) => name === 'mirror' && value === String(mirror))
const isKind = (kind: number) => (event: NostrEvent) => event.kind === kind

/** Changes the first event that fits; `sign` has its own author sign it again. */
function changeEvent(
  bundle: EpochBundle,
  fits: (event: NostrEvent) => boolean,
  change: (event: NostrEvent) => NostrEvent,
  sign = true,
): EpochBundle {
  const at = bundle.events.findIndex(fits)
  const changed = change(bundle.events[at]!)
  const signed = sign ? signerOf(secrets.get(changed.pubkey)!).signEvent(changed) : changed
  return { ...bundle, events: bundle.events.with(at, signed as NostrEvent) }
}

const without = (bundle: EpochBundle, fits: (event: NostrEvent) => boolean): EpochBundle => {
  const at = bundle.events.findIndex(fits)
  return { ...bundle, events: bundle.events.toSpliced(at, 1) }
}

type Fields = Record<string, ClarityValue>
/** Rewrites prints, and the hash chain over them, as someone would who invents a chain. */
function rewriteLog(bundle: EpochBundle, change: (fields: Fields, topic: string) => Fields): EpochBundle {
  const heads = { ...bundle.heads }
  const prints = { ...bundle.prints }
  for (const source of printSources) {
    let head = Buffer.alloc(32)
    prints[source] = prints[source].map((hex) => {
      const value = hexToCV(hex)
      if (value.type !== ClarityType.Tuple) throw new Error('not a tuple')
      const { head: _, ...body } = value.value as Fields
      const topic = body.topic as { value: string }
      const changed = change(body, topic.value)
      const digest = createHash('sha256')
        .update(serializeCVBytes(Cl.tuple(changed)))
        .digest()
      head = createHash('sha256').update(head).update(digest).digest()
      return cvToHex(Cl.tuple({ ...changed, head: Cl.buffer(head) })).replace(/^0x/, '')
    })
    heads[source] = { ...heads[source], head: head.toString('hex') }
  }
  return { ...bundle, heads, prints }
}
const onTopic = (wanted: string, change: (fields: Fields) => Fields) => (fields: Fields, topic: string) =>
  topic === wanted ? change(fields) : fields

/** M attesters conspire: they sign other leaves, the chain settles them, and `paid` of them are claimed. */
function settledOtherwise(leaves: readonly PayoutLeaf[], paid: number): EpochBundle {
  const root = merkleRoot(leaves.map(payoutLeafHash))
  const allocated = leaves.reduce((sum, leaf) => sum + leaf.amount, 0n)
  const events = original.events.map((event) => {
    const read = parseSignedOutcome(event, original.chainId)
    if (!read.ok) return event
    const message = { ...read.value.message, root, allocated, count: leaves.length }
    const secret = secrets.get(event.pubkey)!
    const signature = signHash(settlementHash(message, original.chainId), secret)
    const content = {
      ...JSON.parse(event.content),
      root,
      allocated: String(allocated),
      count: leaves.length,
      signature,
    }
    return signerOf(secret).signEvent({ ...event, content: JSON.stringify(content) }) as NostrEvent
  })
  let claims = 0
  const log = rewriteLog({ ...original, events }, (fields, topic) => {
    if (topic === 'settled')
      return {
        ...fields,
        root: Cl.bufferFromHex(root),
        allocated: Cl.uint(allocated),
        count: Cl.uint(leaves.length),
      }
    if (topic !== 'claimed') return fields
    const leaf = leaves[claims++]!
    return { ...fields, amount: Cl.uint(leaf.amount), recipient: Cl.principal(leaf.recipient) }
  })
  const kept = log.prints.pool.slice(0, log.prints.pool.length - 2 + paid)
  const last = hexToCV(kept.at(-1)!) as unknown as { value: { head: { value: string } } }
  return {
    ...log,
    prints: { ...log.prints, pool: kept },
    heads: { ...log.heads, pool: { seq: kept.length, head: last.value.head.value } },
  }
}

describe('a bundle of an epoch that ran', () => {
  test('is verified, and is written again as the same bytes', () => {
    const match = vector()
    expect(match.outcome.leaves).toHaveLength(5)
    expect(match.signers).toHaveLength(2)
    expect(writeBundle(original)).toBe(bytes.toString())
  })

  test('is refused where it counts what a banned key said', () => {
    const { facts, bundles } = vector()
    const barred = [bundles[0]!.key]
    expect(verifyEpoch({ ...facts, barred }, original.events, verify)).toMatchObject({ step: 'inputs' })
  })

  test.each<[string, () => EpochBundle]>([
    [
      'event 3',
      () =>
        changeEvent(
          original,
          isAbout(3),
          (e) => ({ ...e, content: e.content.replace('"failed":20', '"failed":0') }),
          false,
        ),
    ],
    [
      'event 2',
      () => changeEvent(original, isAbout(2), (e) => ({ ...e, created_at: e.created_at + 1 }), false),
    ],
    [
      'event',
      () =>
        changeEvent(
          original,
          isKind(kinds.commitment),
          (e) => ({ ...e, sig: e.sig.replace(/^../, '00') }),
          false,
        ),
    ],
    [
      'event 1',
      () =>
        changeEvent(original, isAbout(1), (e) => ({
          ...e,
          tags: e.tags.with(0, ['d', `${original.app}:1`]),
        })),
    ],
    [
      'attestation',
      () =>
        changeEvent(original, isAbout(2), (e) => ({
          ...e,
          content: e.content.replace(/"failed":\d+/, '"failed":0'),
        })),
    ],
    ['attestation 4', () => changeEvent(original, isAbout(4), (e) => ({ ...e, content: '{}' }))],
    [
      'attestation',
      () => ({ ...original, events: [...original.events, signAgain(original.events.find(isAbout(1))!)] }),
    ],
    [
      'commitment',
      () =>
        changeEvent(original, isKind(kinds.commitment), (e) => ({
          ...e,
          content: e.content.replace('"count":4', '"count":3'),
        })),
    ],
    [
      'commitment',
      () => ({
        ...original,
        events: [...original.events, signAgain(original.events.find(isKind(kinds.commitment))!)],
      }),
    ],
    [
      'signature',
      () =>
        changeEvent(original, isKind(kinds.proposal), (e) => ({
          ...e,
          content: e.content.replace('"round":0', '"round":1'),
        })),
    ],
    [
      'signature',
      () =>
        rewriteLog(
          original,
          onTopic('settled', (f) => ({ ...f, inputs: Cl.bufferFromHex('77'.repeat(32)) })),
        ),
    ],
    [
      'signature',
      () =>
        rewriteLog(
          original,
          onTopic('settled', (f) => ({
            ...f,
            signers: Cl.list([Cl.bool(true), Cl.bool(false), Cl.bool(false)]),
          })),
        ),
    ],
    [
      'inputs',
      () =>
        rewriteLog(
          original,
          onTopic('settled', (f) => ({ ...f, version: Cl.uint(2) })),
        ),
    ],
    ['anchor', () => ({ ...original, anchor: { ...original.anchor, hash: '77'.repeat(32) } })],
    ['anchor', () => ({ ...original, anchor: { ...original.anchor, height: 1 } })],
    [
      'log',
      () => ({
        ...original,
        prints: {
          ...original.prints,
          pool: original.prints.pool.with(0, original.prints.pool[0]!.replace(/..$/, '00')),
        },
      }),
    ],
    [
      'log',
      () => ({
        ...original,
        prints: { ...original.prints, registry: original.prints.registry.toReversed() },
      }),
    ],
    ['log', () => ({ ...original, heads: { ...original.heads, quorum: { seq: 1, head: '77'.repeat(32) } } })],
    [
      'app',
      () =>
        rewriteLog(
          original,
          onTopic('app-registered', (f) => ({ ...f, coordinate: Cl.bufferFromUtf8('30617:x:demo') })),
        ),
    ],
    [
      'event',
      () =>
        rewriteLog(
          original,
          onTopic('app-registered', (f) =>
            inTerms(f, {
              keys: Cl.list(['02', '03', '04'].map((b) => Cl.bufferFromHex(`02${b.repeat(32)}`))),
            }),
          ),
        ),
    ],
    [
      'rules',
      () =>
        rewriteLog(
          original,
          onTopic('app-registered', (f) => inTerms(f, { keys: Cl.list([]) })),
        ),
    ],
    [
      'score 1',
      () =>
        rewriteLog(
          original,
          onTopic('app-registered', (f) => inTerms(f, { budget: Cl.uint(40_000_000) })),
        ),
    ],
    [
      'score 2',
      () =>
        rewriteLog(
          original,
          onTopic('app-registered', (f) => inTerms(f, { floor: Cl.uint(900_000) })),
        ),
    ],
    ['commitment', () => ({ ...original, chainId: 1 })],
    ['signature', () => ({ ...original, deployer: 'ST000000000000000000002AMW42H' })],
    [
      'claim 2',
      () =>
        rewriteLog(
          original,
          onTopic('claimed', (f) =>
            (f.mirror as { value: bigint }).value === 2n ||
            String((f.mirror as { value: unknown }).value) === '2'
              ? { ...f, amount: Cl.uint(1) }
              : f,
          ),
        ),
    ],
    [
      'window',
      () =>
        rewriteLog(
          original,
          onTopic('settled', (f) => ({ ...f, burn: Cl.uint(100_000) })),
        ),
    ],
    [
      'score 2',
      () =>
        settledOtherwise(
          vector().outcome.leaves.map((l) => (l.mirror === 2 ? { ...l, amount: l.amount + 1n } : l)),
          2,
        ),
    ],
    [
      'root',
      () =>
        settledOtherwise(
          vector().outcome.leaves.map((l) => (l.mirror === 2 ? { ...l, amount: l.amount + 1n } : l)),
          0,
        ),
    ],
    ['root', () => settledOtherwise(vector().outcome.leaves.slice(0, 2), 0)],
    ['not-enough', () => without(original, isAbout(2))],
    ['not-enough', () => without(original, isKind(kinds.coSignature))],
    [
      'not-enough',
      () => ({ ...original, prints: { ...original.prints, pool: original.prints.pool.slice(0, -1) } }),
    ],
    [
      'not-enough',
      () => ({ ...original, prints: { ...original.prints, registry: original.prints.registry.slice(1) } }),
    ],
    [
      'not-enough',
      () => ({ ...original, prints: { ...original.prints, quorum: [], pool: [], registry: [] } }),
    ],
    ['not-enough', () => without(original, isKind(kinds.commitment))],
  ])('is found out at: %s', (step, change) => {
    expect(where(change())).toBe(step)
  })

  test('says of what is asked for, and of nothing else', () => {
    expect(verifyBundle(bytes, { ...asked, epoch: 1 }, verify)).toMatchObject({ ok: 'mismatch', step: 'app' })
    expect(verifyBundle(bytes, { ...asked, app: '77'.repeat(32) }, verify)).toMatchObject({ step: 'app' })
  })

  test('is refused in any other form than the canonical one', () => {
    const text = bytes.toString()
    const others = [
      text.slice(0, -1),
      `${text}\n`,
      text.replace('{', '{ '),
      text.replace('"epoch":0', '"epoch":-0'),
      text.replace('"epoch":0', '"epoch":0,"epoch":0'),
      text.replace('"epoch":0', '"epoch":0,"extra":1'),
      text.replace('"kind":4616', '"kind":4616,"more":""'),
      `\uFEFF${text}`,
      '',
      '[]',
    ]
    for (const other of others)
      expect(verifyBundle(Buffer.from(other), asked, verify)).toMatchObject({
        ok: 'mismatch',
        step: 'format',
      })
  })

  test('tells an operator why', () => {
    const match = vector()
    const told = [1, 2, 3, 4].map((mirror) => explainMirror(match, mirror)!.join('\n'))
    expect(told[0]).toContain('earned 15.666666 STX')
    expect(told[1]).toContain('second best of their results: 80.0 %')
    expect(told[1]).toContain('timeout ×4')
    expect(told[2]).toContain('bytes from it that no release contains')
    expect(told[3]).toContain("names the owner's principal")
    expect(explainMirror(match, 5)).toBeUndefined()
  })
})

/** A small linear generator of numbers below a bound, so that a failing run can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('a changed byte', () => {
  // At least one change of every byte, which is more than 20,000 of them.
  const mutations = Math.max(bytes.length, Number(process.env.BUNDLE_MUTATIONS ?? 0))
  const seed = Number(process.env.BUNDLE_SEED ?? 1)

  test(`anywhere in a bundle is never a match (${mutations} changes from seed ${seed})`, {
    timeout: 3_600_000,
  }, () => {
    const pick = random(seed)
    const changed = Buffer.from(bytes)
    for (let n = 0; n < mutations; n++) {
      const at = n < bytes.length ? n : pick(bytes.length)
      changed[at] = (bytes[at]! + 1 + pick(255)) % 256
      const { ok } = verifyBundle(changed, asked, verify)
      if (ok === 'match') expect.fail(`byte ${at} as ${changed[at]} is a match`)
      changed[at] = bytes[at]!
    }
  })

  test('is never a match where the digest was made to fit again, either', { timeout: 3_600_000 }, () => {
    const pick = random(seed + 1)
    const text = bytes.toString()
    // Fewer, because these get as far as the signatures.
    const repaired = Math.floor(mutations / 60)
    let reached = 0
    while (reached < repaired) {
      const at = pick(text.length)
      // A digit for a digit, so that most changes are still JSON of the right shape.
      if (!/[0-9a-f]/.test(text[at]!)) continue
      const other = text.slice(0, at) + '0123456789abcdef'[pick(16)] + text.slice(at + 1)
      const whole = repair(other)
      if (!whole || whole.equals(bytes)) continue
      reached++
      const { ok } = verifyBundle(whole, asked, verify)
      if (ok === 'match') expect.fail(`character ${at} as ${other[at]} is a match`)
    }
  })

  test('ends the command with exit code 1 or 2', async () => {
    const pick = random(seed + 2)
    const path = join(folder, 'changed.bundle')
    for (let n = 0; n < 20; n++) {
      const changed = Buffer.from(bytes)
      const at = pick(bytes.length)
      changed[at] = (bytes[at]! + 1 + pick(255)) % 256
      writeFileSync(path, changed)
      expect([1, 2]).toContain((await command('--bundle', path)).code)
    }
  })
})

/** The text as a bundle with a digest that fits, where it still has a bundle's shape. */
function repair(text: string): Buffer | undefined {
  try {
    const { format: _, digest: __, ...bundle } = JSON.parse(text) as EpochBundle & Record<string, unknown>
    return Buffer.from(writeBundle(bundle))
  } catch {
    return undefined
  }
}

/** The same thing said again by the same attester, a second later. */
function signAgain(event: NostrEvent): NostrEvent {
  const signer = signerOf(secrets.get(event.pubkey)!)
  return signer.signEvent({ ...event, created_at: event.created_at + 1 }) as NostrEvent
}

function inTerms(fields: Fields, change: Fields): Fields {
  const terms = fields.terms as { value: Fields }
  return { ...fields, terms: Cl.tuple({ ...terms.value, ...change }) }
}

async function command(...args: readonly string[]) {
  const out: string[] = []
  const code = await understudy(['verify', 'epoch', asked.app, String(asked.epoch), ...args], {
    env: {},
    cwd: folder,
    now: () => 0,
    say: () => {},
    print: (text) => void out.push(text),
  })
  return { code, out: out.join('\n') }
}

describe('the command', () => {
  test('ends with 0 for a match, 1 for a mismatch, 2 for too little, and says so in JSON', async () => {
    const write = (name: string, bundle: EpochBundle) => {
      writeFileSync(join(folder, name), writeBundle(bundle))
      return name
    }
    const same = await command('--bundle', write('same', original), '--json')
    expect([same.code, JSON.parse(same.out).ok]).toEqual([0, 'match'])
    const lie = settledOtherwise(
      vector().outcome.leaves.map((l) => (l.mirror === 1 ? { ...l, amount: 1n } : l)),
      1,
    )
    const other = await command('--bundle', write('lie', lie), '--json')
    expect(other.code).toBe(1)
    expect(JSON.parse(other.out)).toMatchObject({ ok: 'mismatch', step: 'score', mirror: 1 })
    const less = await command('--bundle', write('less', without(original, isAbout(1))), '--json')
    expect(less.code).toBe(2)
    expect(JSON.parse(less.out)).toMatchObject({
      ok: 'not-enough',
      missing: [expect.stringContaining('1 of 4')],
    })
    expect((await command('--bundle', 'nowhere')).code).toBe(2)
    const silent = [
      '--stacks-url',
      'http://127.0.0.1:9',
      '--deployer',
      'ST000000000000000000002AMW42H',
      '--json',
    ]
    const unreadable = await command(...silent)
    expect([unreadable.code, JSON.parse(unreadable.out).ok]).toEqual([2, 'not-enough'])
    const told = await command('--bundle', 'same', '--explain', '3')
    expect(told.out).toContain('mirror 3 earned 0 STX')
    expect((await command('--bundle', 'same', '--explain', '9')).code).toBe(2)
  })
})

/** The vector's intermediate values, as docs/verifying.md shows them. */
function workedExample(): string {
  const { facts, inputs, bundles, outcome } = vector()
  const { rules, free, settlement } = facts
  const hex = (value: Uint8Array) => Buffer.from(value).toString('hex')
  const sha = (value: Uint8Array) => createHash('sha256').update(value).digest()
  const print = hexToCV(original.prints.quorum[0]!)
  if (print.type !== ClarityType.Tuple) throw new Error('not a tuple')
  const { head, ...body } = print.value as Fields
  const digest = sha(serializeCVBytes(Cl.tuple(body)))
  const [bundle] = bundles
  const commitment = original.events.find(
    (e) => attesterKey(e.pubkey) === bundle!.key && isKind(kinds.commitment)(e),
  )!
  const header = Cl.tuple({
    stx: Cl.principal(bundle!.header.stx),
    latitude: Cl.int(bundle!.header.latitude),
    longitude: Cl.int(bundle!.header.longitude),
    seed: Cl.bufferFromHex(bundle!.header.seed),
  })
  const attested = [1, 2, 3, 4].map(
    (mirror) => original.events.find((e) => e.pubkey === commitment.pubkey && isAbout(mirror)(e))!,
  )
  const hashes = [
    hashLeaf(serializeCVBytes(header)),
    ...attested.map((e) => hashLeaf(Buffer.from(e.content))),
  ]
  const tuple = Cl.tuple({
    protocol: Cl.uint(protocolVersion),
    rules: Cl.uint(inputs.rulesVersion),
    anchor: Cl.tuple({ height: Cl.uint(inputs.anchor.height), hash: Cl.bufferFromHex(inputs.anchor.hash) }),
    commitments: Cl.list(
      inputs.commitments.map((c) =>
        Cl.tuple({ key: Cl.bufferFromHex(c.key), root: Cl.bufferFromHex(c.root) }),
      ),
    ),
    former: Cl.list([]),
  })
  // A page that is wrong here has sent others astray: what it shows must be what was signed.
  expect(inputs.former).toEqual([])
  expect(hex(sha(serializeCVBytes(tuple)))).toBe(settlement.inputs)
  const { app, epoch, pool, chainId } = facts
  const message = { ...settlement, pool, app, epoch }
  const fee = outcome.leaves.find((leaf) => leaf.mirror === 0)!.amount
  const budget = rules.budget < free ? rules.budget : free
  const earnings = budget - fee * BigInt(bundles.length)
  const live = outcome.mirrors.filter((one) => one.amount > 0n)
  return [
    `digest of the bundle      ${JSON.parse(bytes.toString()).digest}`,
    `quorum event 1, less head ${hex(digest)}  (sha256 of its ${serializeCVBytes(Cl.tuple(body)).length} consensus bytes)`,
    `its head                  ${hex(sha(Buffer.concat([Buffer.alloc(32), digest])))}  (sha256 of 32 zero bytes and the line above)`,
    `  as printed              ${(head as { value: string }).value}`,
    '',
    `attester ${bundle!.key}`,
    `header, consensus bytes   ${hex(serializeCVBytes(header))}`,
    `leaf 0                    ${hex(hashes[0]!)}`,
    ...attested.map(
      ({ content }, at) =>
        `leaf ${at + 1}: mirror ${at + 1}          ${hex(hashes[at + 1]!)}  (${Buffer.byteLength(content)} bytes of content)`,
    ),
    `commitment root           ${merkleRoot(hashes)}`,
    '',
    `inputs, consensus bytes   ${hex(serializeCVBytes(tuple))}`,
    `inputs                    ${hex(sha(serializeCVBytes(tuple)))}`,
    `settlement, SIP-018 hash  ${hex(settlementHash(message, chainId))}`,
    '',
    `B = min(${rules.budget}, ${free}) = ${budget}`,
    `fee each = ⌊min(${rules.fee}, ⌊B/10⌋) / ${rules.keys.length}⌋ = ${fee}`,
    `E = ${earnings}, T = ${rules.places}, q = ${earnings / BigInt(rules.places)}, D = ${live.length}`,
    ...outcome.mirrors.map(
      (one) =>
        `mirror ${one.mirror}: a = ${one.availability}, pays ${one.amount}${one.reason ? ` (${one.reason})` : ''}`,
    ),
    '',
    ...outcome.leaves.map(
      (leaf) =>
        `leaf {index ${leaf.index}, mirror ${leaf.mirror}, recipient ${leaf.recipient}, amount ${leaf.amount}}\n  ${hex(payoutLeafHash(leaf))}`,
    ),
    `root                      ${outcome.root}`,
    `allocated ${outcome.allocated}, count ${outcome.count}`,
  ].join('\n')
}

test('the worked example of docs/verifying.md is the vector’s', () => {
  const page = new URL('../../docs/verifying.md', import.meta.url)
  const text = readFileSync(page, 'utf8')
  const [before = '', rest = ''] = text.split('<!-- example -->\n')
  const [, after = ''] = rest.split('<!-- /example -->\n')
  const whole = `${before}<!-- example -->\n\`\`\`\n${workedExample()}\n\`\`\`\n<!-- /example -->\n${after}`
  if (process.env.UPDATE_VECTORS) writeFileSync(page, whole)
  else expect(text).toBe(whole)
})
