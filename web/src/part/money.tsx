import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { type Asset, formatMoney, grouped, smallestOf } from '../money.ts'

/** The asset of the app that a part of the page is about. There is no default: an amount in the wrong unit is worse than none. */
export const AssetContext = createContext<Asset | undefined>(undefined)

/** An amount in the smallest unit of the app's asset, shown in whole ones, with the smallest on hover. */
export function Money({ amount }: { amount: string | bigint }) {
  const asset = useContext(AssetContext)
  if (!asset) throw new Error('an amount outside of an app')
  return (
    <span class="money" title={`${grouped(BigInt(amount))} ${smallestOf(asset)}`}>
      {formatMoney(amount, asset)}
    </span>
  )
}
