import type { ContractCall } from '@understudy/chain/calls'
import type { Contracts } from '@understudy/chain/contracts'
import type { NetworkView } from '@understudy/protocol/api'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Holding } from '../holding.ts'
import { type Asset, formatMoney } from '../money.ts'
import { hrefOf } from '../route.ts'
import type { Sent } from '../sent.ts'
import { useTheatre } from '../theatre.ts'
import { useHolding } from './purse.tsx'
import { Unaudited } from './unaudited.tsx'

type Calls = typeof import('@understudy/chain/calls')

/** Something that a person is about to sign. */
export interface Proposal {
  readonly title: string
  /** What will happen, a sentence each. */
  readonly will: readonly string[]
  readonly app: string
  readonly expect: Sent['expect']
  readonly build: (calls: Calls, contracts: Contracts, sender: string) => ContractCall
}

type Step =
  | { readonly at: 'wallet'; readonly busy: boolean; readonly said: string }
  | {
      readonly at: 'review'
      readonly sender: string
      readonly call: ContractCall
      /** What leaves the wallet, the fee aside. */
      readonly takes: Holding
      readonly promises: readonly string[]
      readonly busy: boolean
      readonly said: string
    }

const cancelled = 'You said no in the wallet. Nothing was signed, nothing was sent.'

/** Words before the signature: what the call does, and what the chain will not let it do. Derived from the very call that is signed. */
export function Review(props: {
  proposal: Proposal
  network: NetworkView
  onBack: () => void
  onSent: () => void
}) {
  const { proposal, network, onBack, onSent } = props
  const { record, rememberWallet } = useTheatre()
  const [step, setStep] = useState<Step>({ at: 'wallet', busy: true, said: '' })
  const heading = useRef<HTMLHeadingElement>(null)
  const chosen = step.at === 'review' ? step : undefined
  const asset: Asset = chosen && chosen.takes.sbtc > 0n ? 'sbtc' : 'stx'
  const read = useHolding(network, chosen?.sender, asset)
  const holding = read.state === 'ready' ? read.value : undefined
  const lacks = chosen && holding ? lacking(chosen.takes, holding) : undefined

  async function choose(again: boolean): Promise<void> {
    setStep({ at: 'wallet', busy: true, said: '' })
    try {
      const [{ askAddress }, calls] = await Promise.all([
        import('../wallet.ts'),
        import('@understudy/chain/calls'),
      ])
      const answer = await askAddress(network.chainId, again)
      if (!answer.ok) {
        const said = answer.cancelled
          ? 'No wallet was chosen. Nothing was sent.'
          : `The wallet could not be used. ${answer.reason}`
        return setStep({ at: 'wallet', busy: false, said })
      }
      const sender = answer.value
      rememberWallet(sender)
      const call = proposal.build(calls, network.contracts as Contracts, sender)
      const promises = calls.describeCall(call).map((words) => words.replaceAll(sender, 'Your wallet'))
      const takes = calls.takenFrom(call, sender)
      setStep({ at: 'review', sender, call, takes, promises, busy: false, said: '' })
    } catch {
      setStep({
        at: 'wallet',
        busy: false,
        said: 'A part of this page could not be loaded. Are you offline?',
      })
    }
  }

  async function sign(review: Extract<Step, { at: 'review' }>): Promise<void> {
    setStep({ ...review, busy: true, said: 'Waiting for your wallet…' })
    const { sendCall } = await import('../wallet.ts')
    const answer = await sendCall(review.call, review.sender, network.chainId)
    if (!answer.ok) {
      const said = answer.cancelled ? cancelled : `The wallet could not send it: ${answer.reason}`
      return setStep({ ...review, busy: false, said })
    }
    const { title, app, expect } = proposal
    record({
      txid: answer.value,
      title,
      app,
      expect,
      sender: review.sender,
      sentAt: Date.now(),
      fate: { state: 'pending' },
    })
    onSent()
    location.hash = hrefOf({ page: 'transaction', txid: answer.value })
  }

  useEffect(() => {
    heading.current?.focus()
    choose(false)
    // A step of its own in the browser's history: its back button leads to the form, as ours does.
    history.pushState(null, '')
    addEventListener('popstate', onBack)
    return () => {
      removeEventListener('popstate', onBack)
      document.getElementById('main')?.focus({ preventScroll: true })
    }
  }, [])

  return (
    <section class="card review" aria-labelledby="review-heading">
      <h2 id="review-heading" ref={heading} tabIndex={-1}>
        Before you sign
      </h2>
      <Unaudited />
      <h3>What will happen</h3>
      <ul class="sentences">
        {proposal.will.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      {step.at === 'review' && (
        <>
          <h3>What the chain enforces</h3>
          <ul class="sentences promises">
            {step.promises.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
            <li>The network fee comes on top, in STX: your wallet names it.</li>
          </ul>
          <dl class="facts small">
            <div>
              <dt>From</dt>
              <dd>
                <code>{step.sender}</code>
                {holding && <span class="sub">{inWords(holding, asset)}</span>}
              </dd>
            </div>
            <div>
              <dt>Calls</dt>
              <dd>
                <code>
                  {step.call.contract} <wbr />
                  {step.call.functionName}
                </code>
              </dd>
            </div>
          </dl>
        </>
      )}
      {lacks && (
        <p class="note bad" role="alert">
          {lacks}
        </p>
      )}
      <p class="said" role="status">
        {step.at === 'wallet' && step.busy ? 'Asking your wallet for its address…' : step.said}
      </p>
      <div class="actions">
        {step.at === 'review' ? (
          <>
            <button
              type="button"
              class="primary"
              disabled={step.busy || lacks !== undefined}
              onClick={() => sign(step)}
            >
              Sign in your wallet
            </button>
            <button type="button" disabled={step.busy} onClick={() => choose(true)}>
              Use another wallet
            </button>
          </>
        ) : (
          <button type="button" class="primary" disabled={step.busy} onClick={() => choose(true)}>
            Choose a wallet
          </button>
        )}
        <button type="button" class="plain" onClick={() => history.back()}>
          Back to the form
        </button>
      </div>
    </section>
  )
}

const inWords = (holding: Holding, asset: Asset): string =>
  asset === 'stx'
    ? `holds ${formatMoney(holding.stx, 'stx')}`
    : `holds ${formatMoney(holding.sbtc, 'sbtc')}, and ${formatMoney(holding.stx, 'stx')} for fees`

/** Why the chain would not take it from this wallet, whatever the fee; undefined where it might. */
function lacking(takes: Holding, holding: Holding): string | undefined {
  for (const asset of ['sbtc', 'stx'] as const)
    if (holding[asset] < takes[asset])
      return `This wallet holds ${formatMoney(holding[asset], asset)}, and ${formatMoney(takes[asset], asset)} would leave it. Add money to it, use another wallet, or go back and choose a smaller amount.`
  if (holding.stx === takes.stx)
    return 'This wallet has no STX left for the network fee, which is paid in STX whatever the money of the app is.'
  return undefined
}
