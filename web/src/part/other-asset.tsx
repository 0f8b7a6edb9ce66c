import type { AppView } from '@understudy/protocol/api'

/** Said in place of a form that asks for money of an app whose asset this page cannot send. */
export function OtherAsset({ app }: { app: AppView }) {
  return (
    <p class="note warn">
      {app.name} keeps its money in sBTC. This page sends STX only: call the contracts from a wallet or a
      program that shows what moves.
    </p>
  )
}
