import type { AppView, EpochDetail, EpochView } from '@understudy/protocol/api'
import { useState } from 'preact/hooks'
import { shortened, transactionLink } from '../link.ts'
import { type Polled, usePolled } from '../polled.ts'
import { useTheatre } from '../theatre.ts'
import { plural } from '../time.ts'
import { blockNumber, epochStates, heightInWords, recomputations } from '../words.ts'
import { Loading } from './loading.tsx'
import { Money } from './money.tsx'
import { Pill } from './pill.tsx'
import { Recompute } from './recompute.tsx'
import { Trouble } from './trouble.tsx'

type Names = ReadonlyMap<number, string>

/** What each epoch came to, and who was paid. */
export function Epochs({ app, epochs, names }: { app: AppView; epochs: readonly EpochView[]; names: Names }) {
  const { network } = useTheatre()
  if (epochs.length === 0)
    return (
      <p class="note">
        The first epoch begins at burn {blockNumber(app.schedule.start)}
        {network.state === 'ready' && `, ${heightInWords(app.schedule.start, network.value.burnHeight)}`}.
      </p>
    )
  return (
    <table class="stack">
      <thead>
        <tr>
          <th scope="col">Epoch</th>
          <th scope="col">State</th>
          <th scope="col">Attested</th>
          <th scope="col" class="number">
            Allocated
          </th>
          <th scope="col" class="number">
            Paid
          </th>
          <th scope="col">Settlement</th>
        </tr>
      </thead>
      <tbody>
        {epochs.map((epoch) => (
          <Epoch key={epoch.epoch} app={app} epoch={epoch} names={names} />
        ))}
      </tbody>
    </table>
  )
}

function Epoch({ app, epoch, names }: { app: AppView; epoch: EpochView; names: Names }) {
  const { network } = useTheatre()
  const [open, setOpen] = useState(false)
  const burn = network.state === 'ready' ? network.value.burnHeight : undefined
  return (
    <>
      <tr>
        <th scope="row" data-label="Epoch">
          {epoch.epoch}
        </th>
        <td data-label="State">
          <Pill kind={epoch.state} text={epochStates[epoch.state]} />
          {burn !== undefined && (
            <span class="sub">
              {epoch.state === 'settled' && epoch.payableAt !== null
                ? `payable ${heightInWords(epoch.payableAt, burn)}`
                : `${epoch.endsAt > burn ? 'ends' : 'ended'} ${heightInWords(epoch.endsAt, burn)}`}
            </span>
          )}
        </td>
        <td data-label="Attested">
          {plural(epoch.attestations, 'report')}
          <span class="sub">
            by {epoch.commitments} of {plural(app.rules.attesters.length, 'attester')}
          </span>
        </td>
        <td data-label="Allocated" class="number">
          <Money amount={epoch.allocated} />
        </td>
        <td data-label="Paid" class="number">
          <Money amount={epoch.paid} />
        </td>
        <td data-label="Settlement">
          {epoch.settleTxid === null ? (
            '–'
          ) : (
            <>
              <Transaction txid={epoch.settleTxid} label="transaction" />
              <span class="sub">
                root <code title={epoch.root}>{shortened(epoch.root, 4)}</code>
              </span>
              {epoch.count > 0 && (
                <button type="button" class="small" aria-expanded={open} onClick={() => setOpen(!open)}>
                  {open ? 'Hide' : 'Show'} {plural(epoch.count, 'payment')}
                </button>
              )}
            </>
          )}
        </td>
      </tr>
      {open && (
        <tr class="inset">
          <td colSpan={6}>
            <Settled app={app.app} epoch={epoch.epoch} names={names} />
          </td>
        </tr>
      )}
    </>
  )
}

function Settled({ app, epoch, names }: { app: string; epoch: number; names: Names }) {
  const { registry } = useTheatre()
  const detail = usePolled(`epoch ${app} ${epoch}`, () => registry.epoch(app, epoch))
  return (
    <>
      <Payouts detail={detail} names={names} />
      <Recompute app={app} epoch={epoch} shown={detail.state === 'ready' ? detail.value : undefined} />
    </>
  )
}

function Payouts({ detail, names }: { detail: Polled<EpochDetail>; names: Names }) {
  if (detail.state === 'loading') return <Loading what="the payments" lines={2} />
  if (detail.state === 'failed')
    return <Trouble what="The payments could not be read" reason={detail.reason} />
  const { payouts, recomputed } = detail.value
  return (
    <>
      <p>{recomputations[recomputed]}</p>
      <ul class="payouts">
        {payouts.map((payout) => (
          <li key={payout.index}>
            <Money amount={payout.amount} /> to{' '}
            {payout.mirror === 0 ? 'an attester' : (names.get(payout.mirror) ?? `mirror ${payout.mirror}`)}{' '}
            <code title={payout.recipient}>{shortened(payout.recipient, 4)}</code>
            {payout.claimTxid === null ? (
              ': not claimed yet'
            ) : (
              <>
                : paid, <Transaction txid={payout.claimTxid} label={`payment ${payout.index}`} />
              </>
            )}
          </li>
        ))}
      </ul>
    </>
  )
}

function Transaction({ txid, label }: { txid: string; label: string }) {
  const { network } = useTheatre()
  const href = network.state === 'ready' ? transactionLink(network.value, txid) : undefined
  return href ? (
    <a href={href} rel="noopener noreferrer" title={txid} aria-label={`${shortened(txid, 5)}: ${label}`}>
      {shortened(txid, 5)}
    </a>
  ) : (
    <code title={txid}>{shortened(txid, 5)}</code>
  )
}
