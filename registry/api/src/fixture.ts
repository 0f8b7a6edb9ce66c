import { createHash } from 'node:crypto'
import { Cl, type ClarityValue, serializeCV, serializeCVBytes } from '@stacks/transactions'
import type { PrintedEntry } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import type { Source, SourcedEntry } from '@understudy/chain/log'
import { verifyLog } from '@understudy/chain/log'
import { bondedMirrors, projectChain, rulesAt, stateBelow } from '@understudy/chain/state'
import { appId, coordinateOf, repositoryTemplate } from '@understudy/protocol/app'
import { attestationTemplate, type Report } from '@understudy/protocol/attestation'
import { commitmentTemplate, commitTo } from '@understudy/protocol/commitment'
import type { EventSigner, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { heartbeatTemplate, mirrorTemplate } from '@understudy/protocol/mirror'
import { type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { releaseTemplates } from '@understudy/protocol/release'
import { attesterKey } from '@understudy/protocol/rules'
import {
  type Inputs,
  inputsHash,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { signerOf } from '@understudy/relays/signer'

/** Seconds since 1970 at which the tests take place. */
export const testTime = 1_800_000_000
export const chainId = 2_147_483_648
const deployer = 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM'
export const contracts = contractsOf(deployer)
const maintainerAddress = 'ST2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CFRK9AG'
const operators = ['ST2JHG361ZXG51QTKY2NQCVBPPRRE2KZB1HR05NNC', 'ST2NEB84ASENDXKYGJPQW86YXQCEFEX2ZQPG87ND']

/** The contracts' log as an API serves it, written by hand: encoded and chained as the contracts do it. */
export class PaperChain {
  burnHeight = 100
  height = 200
  readonly #entries: SourcedEntry[] = []
  readonly #logs = new Map<string, { seq: number; head: string }>()

  print(source: Source, app: string, topic: string, fields: Record<string, ClarityValue>): string {
    const key = `${source} ${app}`
    const log = this.#logs.get(key) ?? { seq: 0, head: '00'.repeat(32) }
    const body = {
      ...fields,
      topic: Cl.stringAscii(topic),
      app: Cl.bufferFromHex(app),
      seq: Cl.uint(log.seq + 1),
      burn: Cl.uint(this.burnHeight),
      height: Cl.uint(this.height),
    }
    const digest = sha256(serializeCVBytes(Cl.tuple(body)))
    const head = sha256(Buffer.concat([Buffer.from(log.head, 'hex'), digest])).toString('hex')
    this.#logs.set(key, { seq: log.seq + 1, head })
    const txid = `0x${sha256(Buffer.from(`${key} ${log.seq} ${this.#entries.length}`)).toString('hex')}`
    const hex = `0x${serializeCV(Cl.tuple({ ...body, head: Cl.bufferFromHex(head) })).replace(/^0x/, '')}`
    this.#entries.unshift({ source, txid, index: 0, hex })
    return txid
  }

  entries(): SourcedEntry[] {
    return [...this.#entries]
  }

  read() {
    const events = verifyLog(this.#entries)
    return { events, state: projectChain(events) }
  }

  async info() {
    return { chainId, burnHeight: this.burnHeight, height: this.height, serverVersion: 'paper' }
  }

  async contractEvents(contract: string, { limit = 50, offset = 0 } = {}): Promise<PrintedEntry[]> {
    const source = (['quorum', 'registry', 'pool'] as const).find((name) => contracts[name] === contract)
    return this.#entries.filter((entry) => entry.source === source).slice(offset, offset + limit)
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

interface Author {
  readonly secret: Uint8Array
  readonly signer: EventSigner
}

export function author(byte: number): Author {
  const secret = new Uint8Array(32).fill(byte)
  return { secret, signer: signerOf(secret) }
}

/** An app on the chain with three attesters and two mirrors, and the events that its people sign. */
export class Demo {
  readonly chain = new PaperChain()
  readonly maintainer = author(1)
  readonly releaser = author(2)
  readonly nodes = [author(11), author(12)]
  readonly attesters = [author(21), author(22), author(23)].sort((a, b) =>
    a.signer.pubkey < b.signer.pubkey ? -1 : 1,
  )
  readonly d: string
  readonly coordinate: string
  readonly app: string
  readonly start: number
  readonly length = 60

  constructor(d = 'demo') {
    this.d = d
    this.coordinate = coordinateOf(this.maintainer.signer.pubkey, d)
    this.app = appId(this.coordinate)
    this.start = this.chain.burnHeight + 10
  }

  register(): this {
    const { chain, app } = this
    chain.print('quorum', app, 'app-registered', {
      coordinate: Cl.bufferFromAscii(this.coordinate),
      maintainer: Cl.principal(maintainerAddress),
      start: Cl.uint(this.start),
      length: Cl.uint(this.length),
      notice: Cl.uint(3),
      cap: Cl.uint(100_000_000n),
      sbtc: Cl.bool(false),
      version: Cl.uint(1),
      from: Cl.uint(0),
      terms: Cl.tuple({
        budget: Cl.uint(30_000_000n),
        keys: Cl.list(this.attesters.map((a) => Cl.bufferFromHex(attesterKey(a.signer.pubkey)))),
        places: Cl.uint(3),
        levels: Cl.list([Cl.stringAscii('network')]),
        floor: Cl.uint(500_000),
        'domain-bond': Cl.uint(10_000_000n),
        fee: Cl.uint(0),
        grace: Cl.uint(5),
        'min-bond': Cl.uint(10_000_000n),
        faults: Cl.uint(1),
        window: Cl.uint(30),
        challenge: Cl.uint(6),
        'claim-period': Cl.uint(600),
        'release-key': Cl.bufferFromHex(this.releaser.signer.pubkey),
        'min-seq': Cl.uint(0),
      }),
    })
    for (const [at, node] of this.nodes.entries())
      chain.print('registry', app, 'mirror-registered', {
        mirror: Cl.uint(at + 1),
        owner: Cl.principal(operators[at]!),
        'node-key': Cl.bufferFromHex(node.signer.pubkey),
        endpoint: Cl.stringAscii(`https://mirror-${at + 1}.example`),
        bond: Cl.uint(10_000_000n),
      })
    chain.print('pool', app, 'funded', {
      funder: Cl.principal(maintainerAddress),
      amount: Cl.uint(100_000_000n),
      shares: Cl.uint(100_000_000n),
      generation: Cl.uint(0),
      version: Cl.uint(1),
      waited: Cl.bool(false),
    })
    return this
  }

  async repository(over: { name?: string; at?: number; description?: string } = {}): Promise<NostrEvent> {
    const template = repositoryTemplate(
      {
        pubkey: this.maintainer.signer.pubkey,
        d: this.d,
        name: over.name ?? 'Demo',
        description: over.description ?? 'An app that does not die',
        clone: ['https://forge.example/demo.git'],
        web: ['https://demo.example'],
        relays: ['wss://relay.example'],
        stx: maintainerAddress,
      },
      over.at ?? testTime,
    )
    return this.maintainer.signer.signEvent(template)
  }

  async release(seq: number): Promise<NostrEvent> {
    const draft = {
      app: this.app,
      d: this.d,
      coordinate: this.coordinate,
      commit: sha256(Buffer.from(`commit ${seq}`))
        .toString('hex')
        .slice(0, 40),
      tree: 'b'.repeat(40),
      seq,
      entry: '/index.html',
      files: [{ path: '/index.html', sha256: 'c'.repeat(64) }],
    }
    return this.releaser.signer.signEvent(releaseTemplates(draft, testTime + seq).snapshot)
  }

  async announcement(
    node: number,
    over: { name?: string; at?: number; relay?: string } = {},
  ): Promise<NostrEvent> {
    const at = over.at ?? testTime
    const template = mirrorTemplate(
      {
        coordinate: this.coordinate,
        name: over.name ?? `node ${node + 1}`,
        commit: 'a'.repeat(40),
        clone: `https://fork-${node + 1}.example/demo.git`,
        web: `https://mirror-${node + 1}.example`,
        relay: over.relay ?? `wss://mirror-${node + 1}.example`,
        geohash: 'u0y',
        country: 'DE',
        stx: operators[node]!,
      },
      at,
      at + 3_600,
    )
    return this.nodes[node]!.signer.signEvent(template)
  }

  async heartbeat(node: number, at: number): Promise<NostrEvent> {
    return this.nodes[node]!.signer.signEvent(heartbeatTemplate(this.app, 'a'.repeat(40), at))
  }

  report(node: number, over: Partial<Report> = {}): Report {
    return {
      mirror: node + 1,
      nodeKey: this.nodes[node]!.signer.pubkey,
      passed: 40,
      failed: 0,
      inconclusive: 0,
      reasons: {},
      wrongBytes: false,
      principal: operators[node]!,
      address: `203.0.113.${node + 1}`,
      asn: 64_500 + node,
      rttMicros: 20_000,
      geohash: 'u0y',
      commit: 'a'.repeat(40),
      ...over,
    }
  }

  /** What the attesters publish of an epoch in which they all saw the same, and what it comes to. */
  async epoch(
    epoch: number,
    reports: readonly Report[] = [this.report(0), this.report(1)],
  ): Promise<{ events: NostrEvent[]; inputs: Inputs; outcome: Outcome }> {
    const { app, chain } = this
    const header = {
      ...{ stx: maintainerAddress, latitude: 50_100_000, longitude: 8_700_000 },
      seed: '5e'.repeat(32),
    }
    const committed = commitTo(header, reports)
    const at = testTime + epoch
    const bundles = await Promise.all(
      this.attesters.map(async ({ signer, secret }) => {
        const attestations = await Promise.all(
          committed.attested.map(({ report, proof }) =>
            signer.signEvent(attestationTemplate(app, epoch, report, at, proof)),
          ),
        )
        const message = { pool: contracts.pool, app, epoch, root: committed.root, count: reports.length }
        const commitment = await signer.signEvent(commitmentTemplate(message, header, chainId, secret, at))
        return {
          key: attesterKey(signer.pubkey),
          header,
          reports,
          root: committed.root,
          events: [commitment, ...attestations],
        }
      }),
    )
    const end = this.start + (epoch + 1) * this.length
    const state = stateBelow(verifyLog(chain.entries()), end).apps.get(app)!
    const rules = rulesAt(state, epoch)!
    const outcome = outcomeOf({ rules, free: state.pool.free, mirrors: bondedMirrors(state, epoch), bundles })
    const inputs = {
      rulesVersion: 1,
      anchor: { height: 300 + epoch, hash: 'd'.repeat(64) },
      commitments: bundles.map(({ key, root }) => ({ key, root })),
      former: [],
    }
    const { root, allocated, count } = outcome
    const message = {
      pool: contracts.pool,
      app,
      epoch,
      round: 0,
      inputs: inputsHash(inputs),
      root,
      allocated,
      count,
    }
    const signed = await Promise.all(
      this.attesters.slice(0, 2).map(({ signer, secret }, index) => {
        const signature = signHash(settlementHash(message, chainId), secret)
        const kind = index === 0 ? kinds.proposal : kinds.coSignature
        return signer.signEvent(
          signedOutcomeTemplate(kind, { message, inputs, attempt: 0, signature }, at + 1),
        )
      }),
    )
    return { events: [...bundles.flatMap((bundle) => bundle.events), ...signed], inputs, outcome }
  }

  /** Moves the chain on and settles the epoch. */
  settle(epoch: number, { inputs, outcome }: { inputs: Inputs; outcome: Outcome }): string {
    this.moveTo(this.start + (epoch + 1) * this.length + 7)
    return this.chain.print('pool', this.app, 'settled', {
      epoch: Cl.uint(epoch),
      round: Cl.uint(0),
      version: Cl.uint(1),
      inputs: Cl.bufferFromHex(inputsHash(inputs)),
      root: Cl.bufferFromHex(outcome.root),
      allocated: Cl.uint(outcome.allocated),
      common: Cl.uint(0),
      count: Cl.uint(outcome.count),
      signers: Cl.list([Cl.bool(true), Cl.bool(true), Cl.bool(false)]),
      challenge: Cl.uint(6),
    })
  }

  claim(epoch: number, outcome: Outcome, index: number): string {
    const leaf = outcome.leaves[index]!
    return this.chain.print('pool', this.app, 'claimed', {
      epoch: Cl.uint(epoch),
      round: Cl.uint(0),
      index: Cl.uint(index),
      mirror: Cl.uint(leaf.mirror),
      recipient: Cl.principal(leaf.recipient),
      amount: Cl.uint(leaf.amount),
    })
  }

  moveTo(burnHeight: number): void {
    this.chain.height += Math.max(0, burnHeight - this.chain.burnHeight)
    this.chain.burnHeight = burnHeight
  }
}
