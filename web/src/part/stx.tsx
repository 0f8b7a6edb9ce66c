import { formatStx, grouped } from '../money.ts'

/** An amount of µSTX, shown in STX, with the µSTX on hover. */
export function Stx({ micro }: { micro: string | bigint }) {
  const amount = BigInt(micro)
  return (
    <span class="stx" title={`${grouped(amount)} µSTX`}>
      {formatStx(amount)} STX
    </span>
  )
}
