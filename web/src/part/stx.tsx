import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { formatSbtc, formatStx, grouped } from '../money.ts'

/** The asset of the app that a part of the page is about. */
export const AssetContext = createContext<'stx' | 'sbtc'>('stx')

/** An amount in the smallest unit of the app's asset, shown in whole ones, with the smallest on hover. */
export function Stx({ micro }: { micro: string | bigint }) {
  const asset = useContext(AssetContext)
  const amount = BigInt(micro)
  const [text, smallest] =
    asset === 'stx' ? [`${formatStx(amount)} STX`, 'µSTX'] : [`${formatSbtc(amount)} sBTC`, 'satoshis']
  return (
    <span class="stx" title={`${grouped(amount)} ${smallest}`}>
      {text}
    </span>
  )
}
