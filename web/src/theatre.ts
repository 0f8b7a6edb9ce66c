import type { NetworkView } from '@understudy/protocol/api'
import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import type { Polled } from './polled.ts'
import type { Registry } from './registry.ts'
import { readSent, type Sent, writeSent } from './sent.ts'
import { readAddress } from './typed.ts'

/** What every page stands on. */
export interface Theatre {
  readonly registry: Registry
  readonly network: Polled<NetworkView>
  /** The address of the wallet that was used here last, on this chain. */
  readonly wallet: string | undefined
  readonly rememberWallet: (address: string) => void
  readonly sent: readonly Sent[]
  readonly record: (sent: Sent) => void
  readonly forget: (txid: string) => void
}

export const TheatreContext = createContext<Theatre | undefined>(undefined)

export function useTheatre(): Theatre {
  const theatre = useContext(TheatreContext)
  if (!theatre) throw new Error('a page outside of the theatre')
  return theatre
}

const walletKey = 'understudy.wallet'

/** The wallet that was used here last, remembered as an address alone; none where it is another chain's. */
export function useWallet(
  storage: Storage,
  chainId: number | undefined,
): Pick<Theatre, 'wallet' | 'rememberWallet'> {
  const [stored, setStored] = useState(() => {
    try {
      return storage.getItem(walletKey) ?? ''
    } catch {
      return ''
    }
  })
  const known = chainId !== undefined && readAddress(stored, chainId).ok
  return {
    wallet: known ? stored : undefined,
    rememberWallet(address) {
      setStored(address)
      try {
        storage.setItem(walletKey, address)
      } catch {
        // A full or forbidden store: it is known for as long as the page lives.
      }
    },
  }
}

/** Between two looks at pending transactions, ms. */
const lookMs = 2_000

/** The transactions that this browser sent, their fate followed until it is known. Kept in the browser's storage. */
export function useSent(
  storage: Storage,
  stacksUrl: string | undefined,
): Pick<Theatre, 'sent' | 'record' | 'forget'> {
  const [sent, setSent] = useState(() => readSent(storage))
  const change = (next: (before: readonly Sent[]) => Sent[]): void =>
    setSent((before) => {
      const after = next(before)
      writeSent(storage, after)
      return after
    })

  const pending = sent.filter(({ fate }) => fate.state === 'pending').map(({ txid }) => txid)
  useEffect(() => {
    if (!stacksUrl || pending.length === 0) return
    let timer: ReturnType<typeof setTimeout> | undefined
    let failures = 0
    let closed = false

    async function look(): Promise<void> {
      try {
        const { fateOf } = await import('./fate.ts')
        for (const txid of pending) {
          const fate = await fateOf(stacksUrl!, txid)
          if (closed) return
          if (fate.state !== 'pending')
            change((before) => before.map((row) => (row.txid === txid ? { ...row, fate } : row)))
        }
        failures = 0
      } catch {
        // The chain's API is away: the transaction is where it is, so look again later.
        failures++
      }
      if (closed) return
      clearTimeout(timer)
      if (!document.hidden)
        timer = setTimeout(look, Math.min(60_000, lookMs * 2 ** failures) * (0.75 + Math.random() / 2))
    }
    function onVisibility(): void {
      clearTimeout(timer)
      if (!document.hidden) look()
    }

    look()
    document.addEventListener('visibilitychange', onVisibility)
    return () => {
      closed = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisibility)
    }
  }, [stacksUrl, pending.join()])

  return {
    sent,
    record: (row) => change((before) => [row, ...before.filter(({ txid }) => txid !== row.txid)]),
    forget: (gone) => change((before) => before.filter(({ txid }) => txid !== gone)),
  }
}
