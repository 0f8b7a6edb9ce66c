import type { AccountView, AppView, NetworkView } from '@understudy/protocol/api'
import { useState } from 'preact/hooks'
import { shortened } from '../link.ts'
import { unitOf } from '../money.ts'
import { Act, ActWith } from '../part/act.tsx'
import { Copy } from '../part/copy.tsx'
import { Field } from '../part/field.tsx'
import { Loading } from '../part/loading.tsx'
import { AssetContext, Money } from '../part/money.tsx'
import { Pill } from '../part/pill.tsx'
import { Purse } from '../part/purse.tsx'
import { type Proposal, Review } from '../part/review.tsx'
import { Title } from '../part/title.tsx'
import { Stale, Trouble } from '../part/trouble.tsx'
import { UnreadApp } from '../part/unread.tsx'
import { usePolled } from '../polled.ts'
import * as proposals from '../proposals.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { readAddress, readAmount, readEndpoint, readNodeKey, readPercent } from '../typed.ts'
import { heightInWords } from '../words.ts'

/** What an account has in an app, and everything that it can do with it. */
export function AccountPage({ app: id, address }: { app: string; address: string | undefined }) {
  const { registry, network } = useTheatre()
  const app = usePolled(`app ${id}`, () => registry.app(id))
  const name = app.state === 'ready' ? app.value.name : 'App'
  return (
    <>
      <p class="crumb">
        <a href={hrefOf({ page: 'app', app: id })}>{name}</a>
      </p>
      <Title text="Deposit and mirrors">
        {app.state === 'ready' ? `Deposit and mirrors in ${name}` : 'Deposit and mirrors'}
      </Title>
      {app.state === 'failed' && <UnreadApp reason={app.reason} />}
      {network.state === 'failed' && (
        <Trouble what="The registry could not be read" reason={network.reason} />
      )}
      {app.state === 'ready' && network.state === 'ready' ? (
        <AssetContext.Provider value={app.value.asset}>
          <Stale {...app} />
          {address ? (
            <Account app={app.value} network={network.value} address={address} />
          ) : (
            <Choose app={app.value} network={network.value} />
          )}
        </AssetContext.Provider>
      ) : (
        app.state !== 'failed' && <Loading what="the app" />
      )}
    </>
  )
}

/** Whose? The wallet says, or an address is typed: nothing here is secret. */
function Choose({ app, network }: { app: AppView; network: NetworkView }) {
  const { rememberWallet } = useTheatre()
  const [text, setText] = useState('')
  const [insist, setInsist] = useState(false)
  const [said, setSaid] = useState('')
  const read = readAddress(text, network.chainId)
  const show = (address: string) => {
    location.hash = hrefOf({ page: 'account', app: app.app, address })
  }

  async function askWallet(): Promise<void> {
    setSaid('Asking your wallet for its address…')
    const wallet = await import('../wallet.ts').catch(() => undefined)
    if (!wallet) return setSaid('A part of this page could not be loaded. Are you offline?')
    const answer = await wallet.askAddress(network.chainId, true)
    if (answer.ok) {
      rememberWallet(answer.value)
      show(answer.value)
    } else
      setSaid(answer.cancelled ? 'No wallet was chosen.' : `The wallet could not be used. ${answer.reason}`)
  }
  function onSubmit(event: Event): void {
    event.preventDefault()
    setInsist(true)
    if (read.ok) show(read.value)
    else document.getElementById('address')?.focus()
  }

  return (
    <form onSubmit={onSubmit} noValidate>
      <p class="actions">
        <button type="button" class="primary" onClick={askWallet}>
          Use my wallet's address
        </button>
      </p>
      <p class="said" role="status">
        {said}
      </p>
      <Field
        name="address"
        label="Or look at any address"
        value={text}
        onInput={setText}
        problem={read.ok ? undefined : read.reason}
        insist={insist}
        placeholder={network.chainId === 1 ? 'SP…' : 'ST…'}
      />
      <p class="actions">
        <button type="submit">Look at it</button>
      </p>
    </form>
  )
}

function Account({ app, network, address }: { app: AppView; network: NetworkView; address: string }) {
  const { registry } = useTheatre()
  const account = usePolled(`account ${app.app} ${address}`, () => registry.account(app.app, address))
  const [proposal, setProposal] = useState<Proposal>()
  if (proposal)
    return (
      <Review
        proposal={proposal}
        network={network}
        onBack={() => setProposal(undefined)}
        onSent={() => setProposal(undefined)}
      />
    )
  if (account.state === 'loading') return <Loading what="the account" />
  if (account.state === 'failed')
    return <Trouble what="The account could not be read" reason={account.reason} />
  const props = { app, account: account.value, network, propose: setProposal }
  return (
    <>
      <Stale {...account} />
      <p>
        <code class="long">{address}</code> <Copy text={address} label="address" />{' '}
        <a href={hrefOf({ page: 'account', app: app.app })}>Another one</a>
      </p>
      <Deposit {...props} />
      <Unclaimed {...props} />
      <OwnMirrors {...props} />
    </>
  )
}

interface Props {
  readonly app: AppView
  readonly account: AccountView
  readonly network: NetworkView
  readonly propose: (proposal: Proposal) => void
}

function Deposit({ app, account, propose }: Props) {
  const { deposit, waiting, exit, quiet } = account
  const held = BigInt(deposit.shares) > 0n
  const running = app.epoch ?? 0
  const newest = (app.announced ?? app.rules).version
  return (
    <section aria-labelledby="deposit">
      <h2 id="deposit">Deposit</h2>
      {!held && !waiting && (
        <p class="note">
          This account has no deposit in this pool.{' '}
          <a href={hrefOf({ page: 'fund', app: app.app })}>Fund the pool</a>
        </p>
      )}
      {held && (
        <>
          <p>
            What this account deposited and was not spent is worth <Money amount={deposit.worth} /> now.
          </p>
          {exit && (
            <p>
              It asked to leave with <Money amount={exit.worth} /> of that:{' '}
              {exit.ready > running
                ? `possible from epoch ${exit.ready} on; epoch ${running} runs.`
                : quiet
                  ? 'possible now.'
                  : 'possible as soon as no ended epoch waits for its settlement.'}
            </p>
          )}
          <div class="actions">
            {exit && exit.ready <= running && quiet && (
              <Act label="Leave with it" onAct={() => propose(proposals.exit(app, BigInt(exit.worth)))} />
            )}
            <ActWith
              name="leave"
              label="Ask to leave"
              field="How much of it"
              unit="%"
              hint="Of the shares that this account holds."
              read={readPercent}
              onAct={(percent) => propose(proposals.requestExit(app, account, percent))}
            />
          </div>
        </>
      )}
      {waiting && (
        <>
          <p>
            <Money amount={waiting.amount} /> wait: they came while an epoch was being settled, and count only
            once somebody activates them.{' '}
            {waiting.version !== newest &&
              'The rules have changed since: fund again under the new ones, or take it back.'}
          </p>
          <div class="actions">
            {quiet && waiting.version === newest && (
              <Act
                label="Let it count"
                onAct={() => propose(proposals.activate(app, account.address, BigInt(waiting.amount)))}
              />
            )}
            <Act
              label="Take it back"
              onAct={() => propose(proposals.takeBack(app, BigInt(waiting.amount)))}
            />
          </div>
        </>
      )}
    </section>
  )
}

function Unclaimed({ app, account, propose }: Props) {
  const { registry } = useTheatre()
  const [trouble, setTrouble] = useState('')
  if (account.unclaimed.length === 0) return null

  async function prepare(epoch: number, index: number): Promise<void> {
    const proof = await registry.proof(app.app, epoch, index)
    if (proof.ok) propose(proposals.claim(app, proof.value))
    else setTrouble(`The proof could not be read: ${proof.reason}. Try again.`)
  }
  return (
    <section aria-labelledby="unclaimed">
      <h2 id="unclaimed">Payments to claim</h2>
      <ul class="payouts">
        {account.unclaimed.map(({ epoch, index, mirror, amount }) => (
          <li key={`${epoch} ${index}`}>
            <Money amount={amount} /> for epoch {epoch},{' '}
            {mirror === 0 ? 'as an attester' : `mirror ${mirror}`}{' '}
            <button type="button" class="small" onClick={() => prepare(epoch, index)}>
              Have it paid
            </button>
          </li>
        ))}
      </ul>
      <p role="status">{trouble}</p>
    </section>
  )
}

function OwnMirrors(props: Props) {
  const { app, account } = props
  return (
    <section aria-labelledby="mirrors">
      <h2 id="mirrors">Mirrors</h2>
      {account.mirrors.length === 0 ? (
        <p class="note">
          This account has no mirror of this app.{' '}
          <a href={hrefOf({ page: 'register-mirror', app: app.app })}>Register one</a>
        </p>
      ) : (
        <ul class="cards">
          {account.mirrors.map((mirror) => (
            <li key={mirror.mirror}>
              <OwnMirror {...props} mirror={mirror} />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function OwnMirror({ app, mirror, network, propose }: Props & { mirror: AccountView['mirrors'][number] }) {
  const { burnHeight } = network
  const { ready, unbonding, withdrawn, retired } = mirror
  const named = (what: string) => `${what}-${mirror.mirror}`
  return (
    <article class="card own">
      <h3>
        Mirror {mirror.mirror} <BondState mirror={mirror} />
      </h3>
      <dl class="facts small">
        <div>
          <dt>Bond</dt>
          <dd>
            {withdrawn ? 'withdrawn' : <Money amount={mirror.bond} />}
            {ready !== null && !withdrawn && (
              <span class="sub">
                {ready > burnHeight
                  ? `can be withdrawn ${heightInWords(ready, burnHeight)}`
                  : 'can be withdrawn'}
              </span>
            )}
          </dd>
        </div>
        <div>
          <dt>Paid so far</dt>
          <dd>
            <Money amount={mirror.paid} />
          </dd>
        </div>
        <div>
          <dt>Address</dt>
          <dd>
            <code class="long">{mirror.endpoint}</code>
          </dd>
        </div>
        <div>
          <dt>Node key</dt>
          <dd>
            <code title={mirror.nodeKey}>{shortened(mirror.nodeKey, 8)}</code>
          </dd>
        </div>
      </dl>
      <div class="actions">
        {ready !== null && ready <= burnHeight && !withdrawn && (
          <Act label="Withdraw the bond" onAct={() => propose(proposals.withdraw(app, mirror))} />
        )}
        {unbonding === null && (
          <>
            <ActWith
              name={named('bond')}
              label="Add to the bond"
              field="Amount"
              unit={unitOf(app.asset)}
              read={(text) => readAmount(text, app.asset)}
              below={(amount) => <Purse network={network} asset={app.asset} needs={amount} />}
              onAct={(amount) => propose(proposals.addBond(app, mirror, amount))}
            />
            <ActWith
              name={named('endpoint')}
              label="Change the address"
              field="New address"
              read={readEndpoint}
              onAct={(endpoint) => propose(proposals.setEndpoint(app, mirror, endpoint))}
            />
            <ActWith
              name={named('node-key')}
              label="Replace the node key"
              field="New node key"
              hint="The public key that the new node prints: 64 hex digits, or npub1…"
              read={readNodeKey}
              onAct={(nodeKey) => propose(proposals.replaceNodeKey(app, mirror, nodeKey))}
            />
            <Act label="Ask for the bond back" onAct={() => propose(proposals.beginUnbond(app, mirror))} />
          </>
        )}
        {!retired && !withdrawn && (
          <Act label="Retire it" onAct={() => propose(proposals.retire(app, mirror))} />
        )}
      </div>
    </article>
  )
}

function BondState({ mirror }: { mirror: AccountView['mirrors'][number] }) {
  if (mirror.withdrawn) return <Pill kind="unknown" text="Gone" />
  if (mirror.retired) return <Pill kind="unknown" text="Retired" />
  if (mirror.unbonding !== null) return <Pill kind="closing" text="Bond on its way back" />
  return <Pill kind="up" text="Bonded" />
}
