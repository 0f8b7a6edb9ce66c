import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { createLogReader } from '@understudy/chain/logReader'
import { type ChainApp, isPayable, projectChain } from '@understudy/chain/state'
import { parseAttestation, parseEpochTag } from '@understudy/protocol/attestation'
import { parseCommitment } from '@understudy/protocol/commitment'
import { epochAt, epochEnd } from '@understudy/protocol/epoch'
import { type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { formatMoney } from '@understudy/protocol/money'
import { parseSeen } from '@understudy/protocol/seen'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { z } from 'zod'
import type { Network } from './network.ts'
import { askProbes } from './probes.ts'
import { budget, deposit } from './rules.ts'

const activated = z.object({ quiet: z.boolean() })
const claimed = z.object({ claims: z.array(z.object({ amount: z.string(), txid: z.string() })) })

/** Burn blocks between two counts of probes. */
const countBlocks = 15

/** Between two looks at the chain, ms. */
const lookMs = 1_000

/**
 * Follows what attesters say on the relay and what the chain settles, tells it as stages, claims what becomes payable, and fills the pool up
 * when it runs low. Nothing here decides anything: the network would settle without it.
 */
export async function watchNetwork(
  network: Network,
  onTrouble: (line: string) => void,
): Promise<{ stop(): Promise<void> }> {
  const { app, stages, urls } = network
  const client = createStacksClient({ url: urls.stacks })
  const { chainId } = await client.info()
  const reader = createLogReader(client, contractsOf(app.deployer))
  const nameOf = (pubkey: string) =>
    [...network.attesters].find(([, key]) => key === pubkey)?.[0] ?? pubkey.slice(0, 12)
  const mirrorOf = (nodeKey: string) => network.mirrors.find((mirror) => mirror.nodeKey === nodeKey)?.name

  const relays = openRelays([urls.relay], { verify: await loadVerify() })
  const told = new Set<string>()
  const once = (key: string, tell: () => void) => {
    if (told.has(key)) return
    told.add(key)
    tell()
  }
  const wanted = new Map<string, number>()
  const shown = new Map<string, Set<string>>()

  function revealed(epoch: number, attester: string): void {
    const key = `${epoch} ${attester}`
    const count = shown.get(key)?.size ?? 0
    if (count === 0 || count < (wanted.get(key) ?? Number.POSITIVE_INFINITY)) return
    once(`revealed ${key}`, () =>
      stages.tell({
        stage: 'revealed',
        epoch,
        text: `epoch ${epoch}: ${nameOf(attester)} shows its ${count} attestations`,
        data: { attester: nameOf(attester), count },
      }),
    )
  }

  function hear(event: NostrEvent): void {
    if (event.kind === kinds.mirror) {
      const read = parseMirror(event)
      const name = mirrorOf(event.pubkey)
      if (!read.ok || read.value.app !== app.id || !name) return
      const { commit } = read.value
      once(`announced ${name} ${commit}`, () =>
        stages.tell({
          stage: 'announced',
          text: `${name} serves ${commit.slice(0, 12)}`,
          data: { name, commit },
        }),
      )
      return
    }
    if (event.kind === kinds.seen) {
      const read = parseSeen(event)
      if (!read.ok || read.value.app !== app.id) return
      const { attester, release, burnHeight } = read.value
      once(`seen ${release} ${attester}`, () =>
        stages.tell({
          stage: 'seen',
          text: `${nameOf(attester)} saw release ${release.slice(0, 12)} at burn block ${burnHeight}`,
          data: { attester: nameOf(attester), release, burnHeight },
        }),
      )
      return
    }
    const at = parseEpochTag(tag(event, 'd'))
    if (at?.app !== app.id) return
    const { epoch } = at
    const attester = event.pubkey
    const key = `${epoch} ${attester}`
    if (event.kind === kinds.attestation) {
      const read = parseAttestation(event)
      if (!read.ok) return
      shown.set(key, (shown.get(key) ?? new Set()).add(event.id))
      revealed(epoch, attester)
    } else if (event.kind === kinds.commitment) {
      const read = parseCommitment(event, chainId)
      if (!read.ok) return
      wanted.set(key, read.value.count)
      once(`committed ${key}`, () =>
        stages.tell({
          stage: 'committed',
          epoch,
          text: `epoch ${epoch}: ${nameOf(attester)} commits to ${read.value.count} attestations`,
          data: { attester: nameOf(attester), count: read.value.count },
        }),
      )
      revealed(epoch, attester)
    } else {
      const proposal = event.kind === kinds.proposal
      once(`${event.kind} ${key}`, () =>
        stages.tell({
          stage: proposal ? 'proposed' : 'signed',
          epoch,
          text: `epoch ${epoch}: ${nameOf(attester)} ${proposal ? 'proposes an outcome' : 'comes to the same outcome and signs'}`,
          data: { attester: nameOf(attester) },
        }),
      )
    }
  }

  // What was said before this start is past: no line for it.
  const since = Math.floor(Date.now() / 1_000) - 90
  const subscription = relays.subscribe(
    [
      { kinds: [kinds.mirror, kinds.seen], '#d': [app.id] },
      { kinds: [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature], since },
    ],
    { onEvent: hear },
  )

  // Nor for what was paid.
  const first = projectChain(await reader.read()).apps.get(app.id)
  for (const { epoch, claims, count } of first?.settlements.values() ?? []) {
    if (claims.size === count) for (const stage of ['settled', 'claimed']) told.add(`${stage} ${epoch}`)
  }
  let stopped = false
  let running: string | undefined
  /** One command at a time, in the background; what fails is tried again at a later look. */
  function act(name: string, run: () => Promise<void>): void {
    if (running) return
    running = name
    void run()
      .catch((error: Error) => {
        if (!stopped) onTrouble(error.message)
      })
      .finally(() => {
        running = undefined
      })
  }

  function look(now: ChainApp, heights: { readonly burnHeight: number; readonly height: number }): void {
    const epoch = epochAt(now.schedule, heights.burnHeight)
    const ends = epochEnd(now.schedule, epoch)
    if (epoch >= 0) {
      once(`probing ${epoch} ${Math.ceil((ends - heights.burnHeight) / countBlocks)}`, () => {
        void askProbes(network.attesterUrls.values()).then((counts) => {
          const { passed, failed, inconclusive } = counts
          stages.tell({
            stage: 'probing',
            epoch,
            text: `epoch ${epoch}, ${ends - heights.burnHeight} burn blocks left: ${passed} probes passed, ${failed} failed, ${inconclusive} inconclusive so far`,
            data: { ends, ...counts },
          })
        })
      })
    }
    for (const settlement of now.settlements.values()) {
      const { epoch, allocated, count, txid, challenge, burn } = settlement
      once(`settled ${epoch}`, () =>
        stages.tell({
          stage: 'settled',
          epoch,
          text: `epoch ${epoch}: ${formatMoney(allocated, 'stx')} in ${count} payments, payable from burn block ${burn + challenge}: ${txid}`,
          data: { allocated, count, txid },
        }),
      )
      if (settlement.claims.size === count) {
        once(`claimed ${epoch}`, () =>
          stages.tell({
            stage: 'claimed',
            epoch,
            text: `epoch ${epoch}: ${formatMoney(settlement.paid, 'stx')} paid in ${settlement.claims.size} claims`,
            data: { paid: settlement.paid, claims: settlement.claims.size },
          }),
        )
      } else if (isPayable(settlement, heights)) {
        act('claim', async () => {
          const args = ['claim', '--app', app.id, '--epoch', String(epoch), '--api', urls.api]
          await network.cli.run(claimed, args, network.wallets.claimant.folder)
        })
      }
    }
    if (now.pool.parked > 0n) {
      act('activate', async () => {
        await network.cli.run(activated, ['activate', '--app', app.id], network.wallets.claimant.folder)
      })
    }
    if (now.pool.free + now.pool.parked < 2n * budget) {
      act('fund', async () => {
        const { funder } = network.wallets
        if ((await client.account(funder.address)).balance < deposit + 1_000_000n) {
          await fetch(`${urls.stacks}/extended/v1/faucets/stx?address=${funder.address}`, {
            method: 'POST',
            signal: AbortSignal.timeout(10_000),
          })
          return
        }
        await network.cli.run(
          z.object({ txid: z.string() }),
          ['fund', '--app', app.id, '--amount', String(deposit)],
          funder.folder,
        )
      })
    }
  }

  const loop = (async () => {
    let failures = 0
    while (!stopped) {
      try {
        const heights = await client.info()
        const now = projectChain(await reader.read()).apps.get(app.id)
        if (now && !stopped) look(now, heights)
        failures = 0
      } catch (error) {
        // A chain that was killed comes back; one that stays away is worth a word.
        if (++failures === 30 && !stopped) onTrouble(`the chain cannot be read: ${(error as Error).message}`)
      }
      await new Promise((done) => setTimeout(done, lookMs))
    }
  })()

  return {
    async stop() {
      stopped = true
      subscription.close()
      relays.close()
      await loop
    },
  }
}
