import type { NetworkView } from '@understudy/protocol/api'
import { parsed, refused } from '@understudy/protocol/event'
import { useState } from 'preact/hooks'
import type { Holding } from '../holding.ts'
import { shortened } from '../link.ts'
import { type Asset, formatMoney } from '../money.ts'
import { type Polled, usePolled } from '../polled.ts'
import { useTheatre } from '../theatre.ts'

/** What an address holds, read from the chain again and again; nothing without an address. */
export function useHolding(
  network: NetworkView,
  address: string | undefined,
  asset: Asset,
): Polled<Holding | undefined> {
  return usePolled(`holding ${asset} ${address}`, async () => {
    if (!address) return parsed(undefined)
    const chain = await import('../holding.ts').catch(() => undefined)
    return chain ? chain.holdingOf(network, address, asset) : refused('a part of this page is missing')
  })
}

/** Beside an amount that is asked for: what the wallet holds that was used here last, and whether that will do. */
export function Purse(props: { network: NetworkView; asset: Asset; needs: bigint | undefined }) {
  const { network, asset, needs } = props
  const { wallet, rememberWallet } = useTheatre()
  const holding = useHolding(network, wallet, asset)
  const [said, setSaid] = useState('')

  async function ask(): Promise<void> {
    setSaid('Asking your wallet for its address…')
    const opened = await import('../wallet.ts').catch(() => undefined)
    if (!opened) return setSaid('A part of this page could not be loaded. Are you offline?')
    const answer = await opened.askAddress(network.chainId, true)
    if (answer.ok) {
      rememberWallet(answer.value)
      setSaid('')
    } else
      setSaid(answer.cancelled ? 'No wallet was chosen.' : `The wallet could not be used. ${answer.reason}`)
  }

  const held = wallet && holding.state === 'ready' ? holding.value : undefined
  const short = held && needs !== undefined && held[asset] < needs
  function words(): string {
    if (!wallet) return ''
    if (held)
      return `Your wallet ${shortened(wallet, 4)} holds ${formatMoney(held[asset], asset)}${short ? ', which is too little.' : '.'}`
    return holding.state === 'failed'
      ? `What your wallet holds could not be read: ${holding.reason}.`
      : 'Reading what your wallet holds…'
  }
  return (
    <div class="purse">
      <p class={short ? 'problem' : 'hint'} role="status">
        {said || words()}
      </p>
      <button type="button" class="small" onClick={ask}>
        {wallet ? 'Another wallet' : 'Show what my wallet holds'}
      </button>
    </div>
  )
}
