import { type ChainApp, isQuiet } from '@understudy/chain/state'
import type { AccountView } from '@understudy/protocol/api'
import type { Heights } from './epoch.ts'
import { paidTo } from './mirror.ts'

/** What a Stacks account has in an app; one that has nothing there has zeros. `unclaimed`: what it may claim. */
export function accountView(
  app: ChainApp,
  address: string,
  heights: Heights,
  unclaimed: AccountView['unclaimed'],
): AccountView {
  const held = app.shares.get(address) ?? 0n
  const waiting = app.parked.get(address)
  const wish = app.exits.get(address)
  const leaving = wish && wish.generation === app.pool.generation && wish.shares > 0n ? wish : undefined
  return {
    address,
    deposit: { shares: held.toString(), worth: worthOf(app, held).toString() },
    waiting: waiting ? { amount: waiting.amount.toString(), version: waiting.version } : null,
    exit: leaving
      ? {
          shares: leaving.shares.toString(),
          worth: worthOf(app, leaving.shares).toString(),
          ready: leaving.ready,
        }
      : null,
    quiet: isQuiet(app, heights),
    mirrors: [...app.mirrors.values()]
      .filter((mirror) => mirror.owner === address)
      .map((mirror) => ({
        mirror: mirror.id,
        nodeKey: mirror.nodeKey,
        endpoint: mirror.endpoint,
        bond: mirror.bond.toString(),
        paid: paidTo(app, mirror.id).toString(),
        unbonding: mirror.unbonding,
        ready: mirror.unbonding === null ? null : mirror.ready,
        retired: mirror.retired,
        withdrawn: mirror.withdrawn,
      })),
    unclaimed,
  }
}

/** What these shares of the running generation would bring, rounded down as the pool does. */
function worthOf({ pool }: ChainApp, shares: bigint): bigint {
  return shares === 0n ? 0n : (shares * (pool.free - pool.common)) / pool.shares
}
