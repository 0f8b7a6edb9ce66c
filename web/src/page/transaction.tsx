import type { AppView } from '@understudy/protocol/api'
import { shortened, transactionLink } from '../link.ts'
import { Copy } from '../part/copy.tsx'
import { Loading } from '../part/loading.tsx'
import { AssetContext, Money } from '../part/money.tsx'
import { Pill } from '../part/pill.tsx'
import { Title } from '../part/title.tsx'
import { usePolled } from '../polled.ts'
import { hrefOf } from '../route.ts'
import type { Sent } from '../sent.ts'
import { useTheatre } from '../theatre.ts'
import { relative } from '../time.ts'

/** One transaction that this browser sent: pending, failed with the reason, or confirmed and read back from the registry. */
export function TransactionPage({ txid }: { txid: string }) {
  const { sent, network, forget } = useTheatre()
  const row = sent.find((candidate) => candidate.txid === txid)
  const href = network.state === 'ready' ? transactionLink(network.value, txid) : undefined
  return (
    <>
      <Title text={row?.title ?? 'Transaction'} />
      {row ? (
        <div aria-live="polite">
          <Fate row={row} />
        </div>
      ) : (
        <p class="note">This browser did not send this transaction, or has forgotten it.</p>
      )}
      <dl class="facts small">
        <div>
          <dt>Transaction</dt>
          <dd>
            <code class="long">{txid}</code> <Copy text={txid} label="transaction id" />
          </dd>
        </div>
        {row && (
          <div>
            <dt>Sent</dt>
            <dd>
              {relative(Math.floor(row.sentAt / 1_000), Date.now())} by{' '}
              <code title={row.sender}>{shortened(row.sender)}</code>
            </dd>
          </div>
        )}
      </dl>
      <p class="actions">
        {href && (
          <a class="button" href={href} rel="noopener noreferrer">
            Look at it on the chain
          </a>
        )}
        {row && row.fate.state !== 'pending' && (
          <button type="button" class="plain" onClick={() => forget(txid)}>
            Forget it
          </button>
        )}
      </p>
    </>
  )
}

function Fate({ row }: { row: Sent }) {
  switch (row.fate.state) {
    case 'pending':
      return (
        <div class="card fate">
          <Pill kind="pending" text="Pending" />
          <p>
            The wallet has sent it; it waits for a block. You may close this page: it is remembered here, and
            happens without it.
          </p>
        </div>
      )
    case 'failed':
      return (
        <div class="card fate">
          <Pill kind="failed" text="Failed" />
          <p>{row.fate.why}</p>
          <p>Nothing changed and no money moved, but the network fee is spent.</p>
          <p>
            <a href={formOf(row)}>Back to the form</a>
          </p>
        </div>
      )
    case 'confirmed':
      return (
        <div class="card fate">
          <Pill kind="confirmed" text="Confirmed" />
          <p>It is in Stacks block {row.fate.height.toLocaleString('en')}.</p>
          <Result row={row} />
        </div>
      )
  }
}

function formOf({ app, expect, sender }: Sent): string {
  switch (expect.kind) {
    case 'app':
      return hrefOf({ page: 'register-app' })
    case 'mirror':
      return hrefOf({ page: 'register-mirror', app })
    case 'deposit':
      return hrefOf({ page: 'fund', app })
    case 'account':
    case 'claim':
      return hrefOf({ page: 'account', app, address: sender })
  }
}

/** What the registry says now, which is how everyone else sees it. */
function Result({ row }: { row: Sent }) {
  const { registry } = useTheatre()
  // The list, as an app of its own is an error until the registry has seen it.
  const apps = usePolled('apps', registry.apps)
  const app = apps.state === 'ready' ? apps.value.find((candidate) => candidate.app === row.app) : undefined
  if (!app) return <Waiting />
  return (
    <AssetContext.Provider value={app.asset}>
      <Outcome app={app} row={row} />
    </AssetContext.Provider>
  )
}

function Outcome({ app, row }: { app: AppView; row: Sent }) {
  switch (row.expect.kind) {
    case 'app':
      return (
        <p class="result">
          <AppLink app={app} /> is registered. Next: publish its first release, find operators, and{' '}
          <a href={hrefOf({ page: 'fund', app: app.app })}>fund its pool</a>.
        </p>
      )
    case 'mirror':
      return <NewMirror app={app} nodeKey={row.expect.nodeKey} owner={row.sender} />
    case 'deposit':
      if (BigInt(app.pool.deposited) < BigInt(row.expect.before) + BigInt(row.expect.amount))
        return <Waiting />
      return <NewDeposit app={app} funder={row.sender} />
    case 'account':
      return (
        <p class="result">
          See{' '}
          <a href={hrefOf({ page: 'account', app: app.app, address: row.sender })}>
            what this wallet has in {app.name} now
          </a>
          .
        </p>
      )
    case 'claim':
      return <NewPayment app={app} epoch={row.expect.epoch} index={row.expect.index} />
  }
}

function NewMirror({ app, nodeKey, owner }: { app: AppView; nodeKey: string; owner: string }) {
  const { registry } = useTheatre()
  const mirrors = usePolled(`mirrors ${app.app}`, () => registry.mirrors(app.app))
  const mirror =
    mirrors.state === 'ready'
      ? mirrors.value.find((candidate) => candidate.nodeKey === nodeKey && candidate.owner === owner)
      : undefined
  if (!mirror) return <Waiting />
  return (
    <p class="result">
      Mirror number {mirror.mirror} of <AppLink app={app} /> is registered, bonded with{' '}
      <Money amount={mirror.bond} />.{' '}
      {mirror.bound
        ? 'Its node confirms this wallet.'
        : 'It can earn once its node announces itself and names this wallet.'}
    </p>
  )
}

function NewDeposit({ app, funder }: { app: AppView; funder: string }) {
  const { registry } = useTheatre()
  const account = usePolled(`account ${app.app} ${funder}`, () => registry.account(app.app, funder))
  if (account.state !== 'ready') return <Waiting />
  const { waiting } = account.value
  const own = <a href={hrefOf({ page: 'account', app: app.app, address: funder })}>your page</a>
  return (
    <p class="result">
      The pool of <AppLink app={app} /> now has <Money amount={app.pool.free} /> free.{' '}
      {waiting && (
        <>
          <Money amount={waiting.amount} /> of yours wait until no epoch is being settled: {own} activates
          them, or takes them back.
        </>
      )}
    </p>
  )
}

function NewPayment({ app, epoch, index }: { app: AppView; epoch: number; index: number }) {
  const { registry } = useTheatre()
  const detail = usePolled(`epoch ${app.app} ${epoch}`, () => registry.epoch(app.app, epoch))
  const payout = detail.state === 'ready' && detail.value.payouts.find((row) => row.index === index)
  if (!payout || payout.claimTxid === null) return <Waiting />
  return (
    <p class="result">
      <Money amount={payout.amount} /> for epoch {epoch} of <AppLink app={app} /> went to{' '}
      <code title={payout.recipient}>{shortened(payout.recipient)}</code>.
    </p>
  )
}

const AppLink = ({ app }: { app: AppView }) => <a href={hrefOf({ page: 'app', app: app.app })}>{app.name}</a>
const Waiting = () => <Loading what="it back from the registry" lines={1} />
