import { describe, expect, it } from 'vitest'
import { appId, coordinateOf, parseCoordinate, parseRepository, repositoryTemplate } from './app.ts'
import { attestationTemplate, parseAttestation } from './attestation.ts'
import {
  answerTemplate,
  challengeTemplate,
  parseAnswer,
  parseChallenge,
  possessionDigest,
} from './challenge.ts'
import { type EventTemplate, eventId, type NostrEvent, parseEvent } from './event.ts'
import { heartbeatTemplate, mirrorTemplate, parseHeartbeat, parseMirror } from './mirror.ts'
import { decodeManifest, encodeManifest, isReleasePath, parseRelease, releaseTemplates } from './release.ts'
import { parseSeen, releasedAt, seenTemplate } from './seen.ts'

const pubkey = 'ab'.repeat(32)
const coordinate = coordinateOf(pubkey, 'demo')
const app = appId(coordinate)
const commit = 'c0'.repeat(20)
const hash = '11'.repeat(32)
const signed = (template: EventTemplate, by = pubkey): NostrEvent => ({
  ...template,
  pubkey: by,
  id: eventId({ ...template, pubkey: by }),
  sig: '00'.repeat(64),
})
const without = (template: EventTemplate, name: string): EventTemplate => ({
  ...template,
  tags: template.tags.filter((tag) => tag[0] !== name),
})
const withTag = (template: EventTemplate, name: string, value: string): EventTemplate => ({
  ...without(template, name),
  tags: [...without(template, name).tags, [name, value]],
})
const reason = (read: { ok: boolean; reason?: string }) => (read.ok ? 'accepted' : read.reason)

describe('events', () => {
  it('refuses the shapes that are no event, and says where', () => {
    const good = signed(heartbeatTemplate(app, commit, 1))
    expect(parseEvent({ ...good, extra: 1 })).toEqual({ ok: true, value: good })
    expect(reason(parseEvent({ ...good, id: 'AB'.repeat(32) }))).toMatch(/^id: expected 32 bytes/)
    expect(reason(parseEvent({ ...good, sig: 'ab' }))).toMatch(/^sig: expected 64 bytes/)
    expect(reason(parseEvent({ ...good, kind: -1 }))).toMatch(/^kind/)
    expect(reason(parseEvent({ ...good, tags: [[1]] }))).toMatch(/^tags: expected strings/)
    expect(reason(parseEvent(null))).toMatch(/^not an event/)
    expect(reason(parseEvent({ ...good, created_at: 1.5 }))).toMatch(/^created_at/)
    expect(reason(parseEvent({ ...good, content: 'x'.repeat(70_000) }))).toMatch(/^content/)
    expect(reason(parseEvent({ ...good, tags: [['t', 'x'.repeat(70_000)]] }))).toMatch(/^tags: too long/)
    expect(reason(parseEvent({ ...good, tags: Array(2_001).fill(['t']) }))).toMatch(/^tags: expected at most/)
  })
})

describe('a repository', () => {
  const repository = {
    pubkey,
    d: 'demo',
    name: 'Demo',
    description: '',
    clone: ['https://git.example/demo.git'],
    web: ['https://demo.example'],
    relays: ['wss://relay.example'],
    stx: 'SP000000000000000000002Q6VF78',
  }

  it('comes back as it was announced', () => {
    expect(parseRepository(signed(repositoryTemplate(repository, 1)))).toEqual({
      ok: true,
      value: repository,
    })
  })

  it('has a coordinate that is read strictly', () => {
    expect(parseCoordinate(coordinate)).toEqual({ ok: true, value: { pubkey, d: 'demo' } })
    for (const bad of [
      '',
      `30618:${pubkey}:demo`,
      `30617:${pubkey}:`,
      `30617:${pubkey}:a b`,
      `30617:AB:demo`,
    ]) {
      expect(parseCoordinate(bad).ok, bad).toBe(false)
    }
  })
})

describe('a release', () => {
  const files = [
    { path: '/index.html', sha256: hash },
    { path: '/a/b.css', sha256: '22'.repeat(32) },
  ]
  const draft = {
    app,
    d: 'demo',
    coordinate,
    commit,
    tree: 'd0'.repeat(20),
    seq: 3,
    entry: '/index.html',
    files,
  }

  it('comes back with its files sorted as the manifest is', () => {
    const { snapshot, newest, manifest } = releaseTemplates(draft, 7)
    const read = parseRelease(signed(snapshot))
    expect(read).toMatchObject({
      ok: true,
      value: { app, commit, seq: 3, files, manifestBytes: manifest.length },
    })
    expect(parseRelease(signed(newest)).ok).toBe(true)
    const { manifest: x } = read.ok ? read.value : { manifest: '' }
    expect(decodeManifest(encodeManifest([...files].reverse()), x)).toEqual({ ok: true, value: files })
  })

  it('keeps a manifest of 1,000 files out of the event', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => ({ path: `/dir/file-${i}.js`, sha256: hash }))
    const { snapshot, manifest } = releaseTemplates({ ...draft, files: many }, 7)
    expect(JSON.stringify(snapshot).length).toBeLessThan(2_000)
    const read = parseRelease(signed(snapshot))
    expect(read.ok && read.value.files).toBeUndefined()
    expect(decodeManifest(manifest, read.ok ? read.value.manifest : '')).toMatchObject({ ok: true })
  })

  it('is refused when malformed, with the field named', () => {
    const { snapshot } = releaseTemplates(draft, 7)
    const cases: [EventTemplate, RegExp][] = [
      [{ ...snapshot, kind: 1 }, /not a release/],
      [without(snapshot, 'a'), /^a:/],
      [withTag(snapshot, 'commit', 'main'), /^commit:/],
      [withTag(snapshot, 'tree', ''), /^tree:/],
      [withTag(snapshot, 'seq', '0'), /^seq:/],
      [withTag(snapshot, 'seq', '1e3'), /^seq:/],
      [withTag(snapshot, 'entry', '/../x'), /^entry:/],
      [without(snapshot, 'manifest'), /^manifest/],
      [{ ...snapshot, tags: [...snapshot.tags, ['path', '/evil.js', hash]] }, /does not hash/],
    ]
    for (const [template, expected] of cases) expect(reason(parseRelease(signed(template)))).toMatch(expected)
  })

  it('refuses paths that could leave the tree, doubled ones and foreign bytes', () => {
    for (const bad of [
      'index.html',
      '/',
      '/a/../b',
      '/./a',
      '//a',
      '/a/',
      '/a\nb',
      `/${'x'.repeat(1_100)}`,
    ]) {
      expect(isReleasePath(bad), bad).toBe(false)
    }
    for (const good of ['/index.html', '/.well-known/x', '/a b/ü.txt', '/..a'])
      expect(isReleasePath(good), good).toBe(true)
    const twice = encodeManifest([files[0]!, files[0]!])
    expect(reason(decodeManifest(twice, '33'.repeat(32)))).toMatch(/does not hash/)
  })
})

describe('a mirror announcement', () => {
  const draft = {
    coordinate,
    name: 'good-a',
    commit,
    clone: 'https://git.example/fork.git',
    web: 'https://a.example',
    relay: 'wss://a.example',
    geohash: 'u0yj',
    country: 'DE',
    stx: 'SP000000000000000000002Q6VF78',
  }
  const template = mirrorTemplate(draft, 5, 305)

  it('comes back as it was announced', () => {
    expect(parseMirror(signed(template))).toMatchObject({
      ok: true,
      value: { ...draft, app, expiresAt: 305 },
    })
    const code = 'https://a.example/npub1x/demo.git'
    expect(parseMirror(signed(mirrorTemplate({ ...draft, code }, 5, 305)))).toMatchObject({
      ok: true,
      value: { clone: draft.clone, code },
    })
    expect(parseHeartbeat(signed(heartbeatTemplate(app, commit, 5)))).toMatchObject({
      ok: true,
      value: { app, commit },
    })
  })

  it('is refused when malformed, with the field named', () => {
    const cases: [EventTemplate, RegExp][] = [
      [withTag(template, 'd', '00'.repeat(32)), /^d:/],
      [withTag(template, 'a', 'x'), /^a:/],
      [withTag(template, 'c', 'HEAD'), /^c:/],
      [withTag(template, 'web', 'javascript:alert(1)'), /^web:/],
      [withTag(template, 'web', 'https://user:pass@a.example'), /^web:/],
      [withTag(template, 'relay', 'https://a.example'), /^relay:/],
      [withTag(template, 'g', 'ai'), /^g:/],
      [without(template, 'expiration'), /^expiration:/],
    ]
    for (const [bad, expected] of cases) expect(reason(parseMirror(signed(bad)))).toMatch(expected)
  })
})

describe('a challenge', () => {
  const challenge = {
    app,
    nodeKey: 'ee'.repeat(32),
    commit,
    nonce: hash,
    host: 'a.example',
    address: '192.0.2.1',
  }
  const blobs = Array.from({ length: 7 }, (_, i) => ({ path: `/${i}`, oid: String(i) }))
  const read = (fill: number) => async (oid: string) =>
    new Uint8Array(5_000 + Number(oid)).fill(fill + Number(oid))

  it('and its answer come back bound to each other', () => {
    const asked = parseChallenge(signed(challengeTemplate(challenge, 9)))
    expect(asked).toMatchObject({ ok: true, value: { ...challenge, attester: pubkey } })
    const answer = answerTemplate(asked.ok ? asked.value : (undefined as never), '55'.repeat(32), 10)
    expect(parseAnswer(signed(answer, challenge.nodeKey))).toMatchObject({
      ok: true,
      value: {
        challenge: asked.ok && asked.value.eventId,
        nonce: hash,
        digest: '55'.repeat(32),
        address: '192.0.2.1',
      },
    })
  })

  it('has a digest that depends on every object read, the nonce and the node key', async () => {
    const digest = await possessionDigest(challenge, blobs, read(0))
    expect(await possessionDigest(challenge, blobs, read(0))).toBe(digest)
    expect(await possessionDigest(challenge, blobs, read(1))).not.toBe(digest)
    expect(await possessionDigest({ ...challenge, nonce: '22'.repeat(32) }, blobs, read(0))).not.toBe(digest)
    expect(await possessionDigest({ ...challenge, nodeKey: '22'.repeat(32) }, blobs, read(0))).not.toBe(
      digest,
    )
    await expect(possessionDigest(challenge, [], read(0))).rejects.toThrow(/no blobs/)
  })
})

describe('attestations and seen events', () => {
  const report = {
    mirror: 1,
    nodeKey: 'ee'.repeat(32),
    passed: 1,
    failed: 0,
    inconclusive: 0,
    reasons: {},
    wrongBytes: false,
    principal: '',
    address: '',
    asn: 0,
    rttMicros: 0,
    geohash: '',
    commit: '',
  }

  it('refuses an attestation with a bad report or epoch', () => {
    const template = attestationTemplate(app, 4, report, 1)
    expect(parseAttestation(signed(template))).toMatchObject({ ok: true, value: { app, epoch: 4, report } })
    expect(reason(parseAttestation(signed({ ...template, content: '{}' })))).toMatch(/^mirror:/)
    expect(reason(parseAttestation(signed(withTag(template, 'd', `${app}:-1`))))).toMatch(/^d:/)
    const negative = JSON.stringify({ ...report, passed: -1 })
    expect(reason(parseAttestation(signed({ ...template, content: negative })))).toMatch(/^passed:/)
  })

  it('counts a release as released at the M-th smallest height, one attester counted once', () => {
    const keys = new Set(['11', '22', '33'].map((byte) => byte.repeat(32)))
    const seen = (by: string, burnHeight: number) => {
      const read = parseSeen(signed(seenTemplate({ app, release: hash, burnHeight }, 1), by.repeat(32)))
      if (!read.ok) throw new Error(read.reason)
      return read.value
    }
    expect(releasedAt([seen('11', 7), seen('11', 8)], hash, keys, 2)).toBeUndefined()
    expect(releasedAt([seen('11', 7), seen('44', 1), seen('22', 9), seen('33', 8)], hash, keys, 2)).toBe(8)
  })
})
