import { contractsOf } from '@understudy/chain/contracts'
import type { ChainApp, ChainMirror } from '@understudy/chain/state'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { attestationTemplate } from '@understudy/protocol/attestation'
import { commitmentTemplate } from '@understudy/protocol/commitment'
import type { EventTemplate } from '@understudy/protocol/event'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { releaseTemplates } from '@understudy/protocol/release'
import { attesterKey, type Rules } from '@understudy/protocol/rules'
import { seenTemplate } from '@understudy/protocol/seen'
import { signerOf } from '@understudy/relays/signer'
import { expect, test } from 'vitest'
import type { AppEpoch } from './chain-view.ts'
import { identityOf } from './identity.ts'
import { belongingOf, filtersOf } from './scope.ts'

const testnet = 0x80000000
const key = (byte: number) => new Uint8Array(32).fill(byte)
const attester = identityOf(key(1), testnet)
const maintainer = signerOf(key(2))
const node = signerOf(key(3))
const releaser = signerOf(key(4))
const stranger = identityOf(key(5), testnet)
const coordinate = coordinateOf(maintainer.pubkey, 'demo')
const id = appId(coordinate)
const contracts = contractsOf(attester.account)

const rules = {
  ...{ version: 1, from: 0, until: null, releaseKey: releaser.pubkey, minSeq: 2 },
  keys: [attesterKey(attester.pubkey)],
} as unknown as Rules
const app = {
  ...{ id, coordinate, rules: [rules], releaseKeys: [] },
  mirrors: new Map([[1, { id: 1, nodeKey: node.pubkey } as ChainMirror]]),
} as unknown as ChainApp
const apps: readonly AppEpoch[] = [{ app, epoch: 10, rules }]

const now = 1_000_000
async function judged(
  signer: { signEvent: (typeof node)['signEvent'] },
  template: EventTemplate,
): Promise<string> {
  const event = await signer.signEvent(template)
  const read = belongingOf(event, apps, { contracts, chainId: testnet, nowSeconds: now })
  return read.ok ? `kept for ${read.value.epoch}` : read.reason
}

const report = {
  ...{
    mirror: 1,
    nodeKey: node.pubkey,
    passed: 1,
    failed: 0,
    inconclusive: 0,
    reasons: {},
    wrongBytes: false,
  },
  ...{ principal: '', address: '', asn: 0, rttMicros: 0, geohash: '', commit: '' as const },
}
const attestation = (epoch: number) => attestationTemplate(id, epoch, report, now)
const header = { stx: attester.account, latitude: 0, longitude: 0, seed: '5e'.repeat(32) }
const message = { pool: contracts.pool, app: id, epoch: 10, root: '00'.repeat(32), count: 0 }
const mirror = mirrorTemplate(
  {
    ...{
      coordinate,
      name: 'm',
      commit: '11'.repeat(20),
      clone: 'https://f.example/r.git',
      stx: attester.account,
    },
    ...{ web: 'https://m.example', relay: 'wss://m.example', geohash: '', country: '' },
  },
  now,
  now + 60,
)
const release = (seq: number) =>
  releaseTemplates(
    {
      ...{ app: id, d: 'demo', coordinate, commit: '11'.repeat(20), tree: '22'.repeat(20), seq },
      ...{ entry: '/index.html', files: [{ path: '/index.html', sha256: '33'.repeat(32) }] },
    },
    now,
  ).snapshot

test('what those who are named on chain say is kept', async () => {
  expect(await judged(node, mirror)).toBe('kept for -1')
  expect(await judged(releaser, release(2))).toBe('kept for -1')
  expect(
    await judged(attester.signer, seenTemplate({ app: id, release: 'aa'.repeat(32), burnHeight: 1 }, now)),
  ).toBe('kept for -1')
  expect(await judged(attester.signer, attestation(9))).toBe('kept for 9')
  const commitment = commitmentTemplate(message, header, testnet, attester.secretKey, now)
  expect(await judged(attester.signer, commitment)).toBe('kept for 10')
})

test('what anybody else says is not', async () => {
  expect(await judged(stranger.signer, mirror)).toBe('not a mirror on chain')
  expect(await judged(stranger.signer, release(2))).toBe('not by the release key')
  expect(await judged(stranger.signer, attestation(9))).toBe('not an attester')
  expect(await judged(stranger.signer, { kind: 1, created_at: now, tags: [], content: 'hello' })).toBe(
    'unknown kind',
  )
})

test('what is out of time or place is not, whoever says it', async () => {
  expect(await judged(attester.signer, attestation(11))).toBe('not a recent epoch')
  expect(await judged(attester.signer, attestation(0))).toBe('not a recent epoch')
  expect(await judged(releaser, release(1))).toBe('not by the release key')
  expect(await judged(node, { ...mirror, created_at: now + 601 })).toBe('future-dated')
  const elsewhere = { ...message, pool: contractsOf(stranger.account).pool }
  const commitment = commitmentTemplate(elsewhere, header, testnet, attester.secretKey, now)
  expect(await judged(attester.signer, commitment)).toBe('another app or pool')
})

test('a commitment under another key is refused, however it is published', async () => {
  const forged = commitmentTemplate(message, header, testnet, stranger.secretKey, now)
  expect(await judged(attester.signer, forged)).toMatch(/^signature/)
})

test('malformed and oversized content is refused before anything reads it', async () => {
  const broken = { ...attestation(9), content: '{' }
  const large = { ...attestation(9), content: JSON.stringify({ ...report, address: 'x'.repeat(20_000) }) }
  const negative = { ...attestation(9), content: JSON.stringify({ ...report, passed: -1 }) }
  for (const template of [broken, large, negative])
    expect(await judged(attester.signer, template)).not.toMatch(/^kept/)
})

test('relays are asked the same question as long as nothing changed', () => {
  expect(JSON.stringify(filtersOf(apps, now + 60))).toBe(JSON.stringify(filtersOf(apps, now)))
  expect(filtersOf([], now)).toEqual([])
})
