import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { foreignHead, verifyBundle } from '@understudy/chain/verify'
import { maxBundleBytes, readBundle, writeBundle } from '@understudy/protocol/epochBundle'
import { explainMirror } from '@understudy/protocol/explain'
import { formatMoney } from '@understudy/protocol/money'
import { threshold } from '@understudy/protocol/rules'
import type { Match } from '@understudy/protocol/verify'
import { loadVerify } from '@understudy/relays/verify'
import { parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { collect, readable, refusal } from '../epoch.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { type Chain, chainArgs, openChain, openTheirRelays, parseApp, relayArgs } from '../network.ts'

export const verifyEpochCommand = (io: Io) =>
  command(io, {
    name: 'epoch',
    description:
      'Compute an epoch’s payout again from public data, and compare it with what the chain settled and paid. ' +
      'Exit code 0: the same, 1: it differs, 2: not enough data',
    args: {
      app: { type: 'positional', description: 'App: coordinate or id', required: true },
      epoch: { type: 'positional', description: 'Epoch', required: true },
      bundle: {
        type: 'string',
        description: 'Verify this file, offline; with --stacks-url its log is compared with the chain’s',
        valueHint: 'file',
      },
      explain: { type: 'string', description: 'Say why this mirror earned what it did', valueHint: 'mirror' },
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const app = parseApp(args.app)
      const epoch = parseWhole('epoch', args.epoch)
      const explained = args.explain === undefined ? undefined : parseWhole('explain', args.explain)
      // A file is verified offline unless the chain is named on the command line itself.
      const chain = !args.bundle || args['stacks-url'] ? await readable(openChain(args, io)) : undefined
      const bytes = args.bundle
        ? await readBytes(resolve(io.cwd, args.bundle))
        : await readable(collectBytes(chain!, app, epoch))
      const verdict = verifyBundle(bytes, { app, epoch }, await loadVerify())
      if (verdict.ok !== 'match') throw refusal(verdict, epoch)
      const bundle = readBundle(bytes)
      if (!bundle.ok) throw new Error(`a verified bundle cannot be read: ${bundle.reason}`)
      const { heads } = bundle.value
      if (args.bundle && chain) {
        const foreign = await readable(foreignHead(bundle.value, { ...chain, chainId: chain.info.chainId }))
        if (foreign) throw refusal(foreign, epoch)
      }
      const explanation = explained === undefined ? undefined : explainMirror(verdict, explained)
      if (explained !== undefined && !explanation)
        throw new UsageFailure(`--explain: mirror ${explained} had no bond that counted in epoch ${epoch}`)
      const txid = chain && (await readable(chain.app(app)))?.settlements.get(epoch)?.txid
      const head = ({ seq, head: of }: { seq: number; head: string }) => `${seq} ${of}`
      return {
        lines: explanation ?? [
          ...summaryOf(verdict),
          ...(chain
            ? []
            : [
                'offline: it is the chain’s own log if get-log says there, at these numbers or later,',
                `  attester-quorum ${head(heads.quorum)}`,
                `  mirror-registry ${head(heads.registry)}`,
                `  reward-pool ${head(heads.pool)}`,
              ]),
        ],
        data: {
          ...dataOf(verdict),
          heads,
          ...(txid ? { txid } : {}),
          ...(explanation ? { explanation } : {}),
        },
      }

      async function collectBytes(from: Chain, id: string, n: number): Promise<Uint8Array> {
        const relays = await openTheirRelays(args, io)
        try {
          return new TextEncoder().encode(writeBundle(await collect(from, relays, id, n)))
        } finally {
          relays.close()
        }
      }
    },
  })

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    // Above the limit nothing is read, so that a file cannot fill the memory.
    if ((await stat(file)).size > maxBundleBytes) throw new Error(`larger than ${maxBundleBytes} bytes`)
    return await readFile(file)
  } catch (cause) {
    throw new Failure('no-bundle', `${file} cannot be read`, 'write one with: understudy bundle epoch', {
      cause,
      exitCode: 2,
    })
  }
}

interface Probes {
  readonly passed: number
  readonly failed: number
  readonly inconclusive: number
  readonly reasons: Readonly<Record<string, number>>
  readonly attesters: number
}

const unseen: Probes = { passed: 0, failed: 0, inconclusive: 0, reasons: {}, attesters: 0 }

/** What all attesters together say, by mirror. */
function probesOf({ bundles }: Match): ReadonlyMap<number, Probes> {
  const probes = new Map<number, Probes>()
  for (const report of bundles.flatMap((bundle) => bundle.reports)) {
    const { passed, failed, inconclusive, reasons, attesters } = probes.get(report.mirror) ?? unseen
    const sum = { ...reasons }
    for (const [reason, times] of Object.entries(report.reasons)) sum[reason] = (sum[reason] ?? 0) + times
    probes.set(report.mirror, {
      passed: passed + report.passed,
      failed: failed + report.failed,
      inconclusive: inconclusive + report.inconclusive,
      reasons: sum,
      attesters: attesters + 1,
    })
  }
  return probes
}

function summaryOf(match: Match): string[] {
  const { facts, outcome, signers } = match
  const { keys } = facts.rules
  const probes = probesOf(match)
  return [
    `epoch ${facts.epoch}: ${formatMoney(outcome.allocated, facts.asset)} in ${outcome.count} payments, the same as on chain, bit for bit`,
    `signed by ${signers.length} of ${keys.length} attesters, ${threshold(keys)} needed; ${facts.claims.length} payments made`,
    ...outcome.mirrors.map((mirror) => {
      const { passed, failed } = probes.get(mirror.mirror) ?? unseen
      const earned = mirror.reason ? `nothing: ${mirror.reason}` : formatMoney(mirror.amount, facts.asset)
      return `mirror ${mirror.mirror}  ${passed} passed, ${failed} failed  ${earned}`
    }),
  ]
}

function dataOf(match: Match): Record<string, unknown> {
  const { facts, inputs, bundles, outcome, signers } = match
  const probes = probesOf(match)
  const bonded = new Map(facts.mirrors.map((mirror) => [mirror.mirror, mirror]))
  const paid = facts.claims.reduce((sum, claim) => sum + claim.amount, 0n)
  return {
    ok: match.ok,
    app: facts.app,
    asset: facts.asset,
    epoch: facts.epoch,
    round: facts.settlement.round,
    inputs: facts.settlement.inputs,
    anchor: inputs.anchor,
    root: outcome.root,
    allocated: outcome.allocated,
    paid,
    claims: facts.claims.length,
    signers,
    attestations: bundles.reduce((total, bundle) => total + bundle.reports.length, 0),
    leaves: outcome.leaves,
    mirrors: outcome.mirrors.map((mirror) => ({
      ...mirror,
      bond: bonded.get(mirror.mirror)?.bond ?? 0n,
      nodeKey: bonded.get(mirror.mirror)?.nodeKey ?? '',
      reason: mirror.reason ?? null,
      ...(probes.get(mirror.mirror) ?? unseen),
    })),
  }
}
