import type { AppView, NetworkView } from '@understudy/protocol/api'
import { useState } from 'preact/hooks'
import { useDraft } from '../draft.ts'
import { formatMoney, unitOf } from '../money.ts'
import { Caution } from '../part/caution.tsx'
import { Field } from '../part/field.tsx'
import { Loading } from '../part/loading.tsx'
import { AssetContext, Money } from '../part/money.tsx'
import { Purse } from '../part/purse.tsx'
import { type Proposal, Review } from '../part/review.tsx'
import { Title } from '../part/title.tsx'
import { Stale, Trouble } from '../part/trouble.tsx'
import { Unaudited } from '../part/unaudited.tsx'
import { UnreadApp } from '../part/unread.tsx'
import { usePolled } from '../polled.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { readAmount } from '../typed.ts'
import { lasts, rulesInWords } from '../words.ts'

export function FundPage({ app: id }: { app: string }) {
  const { registry, network } = useTheatre()
  const app = usePolled(`app ${id}`, () => registry.app(id))
  return (
    <>
      <p class="crumb">
        <a href={hrefOf({ page: 'app', app: id })}>{app.state === 'ready' ? app.value.name : 'App'}</a>
      </p>
      <Title text="Fund a pool">
        {app.state === 'ready' ? `Fund the pool of ${app.value.name}` : 'Fund a pool'}
      </Title>
      {app.state === 'failed' && <UnreadApp reason={app.reason} />}
      {network.state === 'failed' && (
        <Trouble what="The registry could not be read" reason={network.reason} />
      )}
      {app.state === 'ready' && network.state === 'ready' ? (
        <AssetContext.Provider value={app.value.asset}>
          <Stale {...app} />
          <FundForm app={app.value} network={network.value} />
        </AssetContext.Provider>
      ) : (
        app.state !== 'failed' && <Loading what="the app" />
      )}
    </>
  )
}

function FundForm({ app, network }: { app: AppView; network: NetworkView }) {
  const [draft, change, clear] = useDraft(`fund.${app.app}`, { amount: '' })
  const [insist, setInsist] = useState(false)
  const [proposal, setProposal] = useState<Proposal>()
  const amount = readAmount(draft.amount, app.asset)
  const rules = accepted(app)

  function onSubmit(event: Event): void {
    event.preventDefault()
    setInsist(true)
    if (amount.ok) setProposal(deposit(app, amount.value))
    else document.getElementById('amount')?.focus()
  }

  if (proposal)
    return (
      <Review proposal={proposal} network={network} onBack={() => setProposal(undefined)} onSent={clear} />
    )
  return (
    <form onSubmit={onSubmit} noValidate>
      <Unaudited />
      <Caution app={app} />
      <p>
        The pool holds <Money amount={app.pool.free} /> that nobody has earned yet; it lasts:{' '}
        {lasts(app, network.chainId)}.
      </p>
      <h2>What you agree to: rules, version {rules.version}</h2>
      <ul class="sentences">
        {rulesInWords({ ...app, rules }).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
        <li>
          A deposit is spent on mirrors as epochs are settled. What is not spent yet you may take back, two
          epochs after you ask for it, while no ended epoch waits for its settlement.
        </li>
        <li>
          A deposit that arrives while an epoch is being settled waits: it counts, and is spent, only once
          somebody activates it. Until then you may take it back at once.
        </li>
      </ul>
      <Field
        name="amount"
        label="Amount"
        unit={unitOf(app.asset)}
        numeric
        value={draft.amount}
        onInput={(value) => change({ amount: value })}
        problem={amount.ok ? undefined : amount.reason}
        insist={insist}
        hint={
          amount.ok && BigInt(rules.budget) > 0n
            ? `Pays ${formatTenths((amount.value * 10n) / BigInt(rules.budget))} epochs at the full budget.`
            : `One epoch pays up to ${formatMoney(rules.budget, app.asset)}.`
        }
      />
      <Purse network={network} asset={app.asset} needs={amount.ok ? amount.value : undefined} />
      <p class="actions">
        <button type="submit" class="primary">
          Review the deposit
        </button>
      </p>
    </form>
  )
}

const formatTenths = (tenths: bigint): string =>
  tenths % 10n === 0n ? String(tenths / 10n) : `${tenths / 10n}.${tenths % 10n}`

/** The rules that a deposit made now is under: the newest, be it that they govern later. */
const accepted = ({ rules, announced }: AppView) => announced ?? rules

function deposit(app: AppView, amount: bigint): Proposal {
  const { version } = accepted(app)
  const inWords = formatMoney(amount, app.asset)
  return {
    title: `Fund ${app.name} with ${inWords}`,
    will: [
      `Exactly ${inWords} leaves your wallet and goes to the pool of ${app.name}; anything else makes the transaction fail.`,
      `You accept the rules of version ${version}. Should they have changed by the time it is mined, it fails and your money stays.`,
    ],
    app: app.app,
    expect: { kind: 'deposit', before: app.pool.deposited, amount: String(amount) },
    build: (calls, contracts, sender) =>
      calls.fund(contracts, sender, {
        app: app.app,
        asset: app.asset,
        amount,
        rulesVersion: version,
        minShares: amount,
      }),
  }
}
