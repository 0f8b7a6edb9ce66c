import type { AccountView, AppView, LeafProof } from '@understudy/protocol/api'
import { formatMoney } from './money.ts'
import type { Proposal } from './part/review.tsx'
import { plural } from './time.ts'

// What an account can do with what it has in an app, as it is reviewed before it is signed.

type Mirror = AccountView['mirrors'][number]
const own = (app: AppView) => ({ app: app.app, expect: { kind: 'account' } }) as const
/** What every call that moves an app's money names. */
const of = (app: AppView) => ({ app: app.app, asset: app.asset })
const numbered = ({ mirror }: Mirror, app: AppView) => `mirror ${mirror} of ${app.name}`

/** How long a bond stays locked after it was asked for, in words. */
const locked = ({ schedule, rules }: AppView) =>
  `one epoch (${plural(schedule.length, 'block')}) and its settlement (${plural(rules.window + rules.challenge, 'block')})`

export function addBond(app: AppView, mirror: Mirror, amount: bigint): Proposal {
  return {
    ...own(app),
    title: `Add ${formatMoney(amount, app.asset)} to the bond of ${numbered(mirror, app)}`,
    will: [
      `Exactly ${formatMoney(amount, app.asset)} leaves your wallet; anything else makes the transaction fail.`,
      `The bond is then ${formatMoney(BigInt(mirror.bond) + amount, app.asset)}; it counts in epochs that begin after this is mined.`,
    ],
    build: (calls, contracts, sender) =>
      calls.addBond(contracts, sender, { ...of(app), mirror: mirror.mirror, amount }),
  }
}

export function setEndpoint(app: AppView, mirror: Mirror, endpoint: string): Proposal {
  return {
    ...own(app),
    title: `Say where ${numbered(mirror, app)} is`,
    will: [`Its address on chain becomes ${endpoint}. No money moves.`],
    build: (calls, contracts) =>
      calls.setEndpoint(contracts, { app: app.app, mirror: mirror.mirror, endpoint }),
  }
}

export function replaceNodeKey(app: AppView, mirror: Mirror, nodeKey: string): Proposal {
  return {
    ...own(app),
    title: `Give ${numbered(mirror, app)} another node key`,
    will: [
      `Its node key becomes ${nodeKey}. No money moves.`,
      'Only a node that holds this key can earn for it from now on; the node must announce itself with it.',
    ],
    build: (calls, contracts) =>
      calls.replaceNodeKey(contracts, { app: app.app, mirror: mirror.mirror, nodeKey }),
  }
}

export function beginUnbond(app: AppView, mirror: Mirror): Proposal {
  return {
    ...own(app),
    title: `Ask for the bond of ${numbered(mirror, app)} back`,
    will: [
      `The mirror stops counting with the next epoch, and earns nothing from then on. This cannot be undone.`,
      `Its bond of ${formatMoney(mirror.bond, app.asset)} can be withdrawn after ${locked(app)}.`,
    ],
    build: (calls, contracts) => calls.beginUnbond(contracts, { app: app.app, mirror: mirror.mirror }),
  }
}

export function retire(app: AppView, mirror: Mirror): Proposal {
  return {
    ...own(app),
    title: `Retire ${numbered(mirror, app)}`,
    will: [
      'The mirror is gone for good. Its node key is free for another one at once.',
      ...(mirror.unbonding === null
        ? [`Its bond of ${formatMoney(mirror.bond, app.asset)} can be withdrawn after ${locked(app)}.`]
        : []),
    ],
    build: (calls, contracts) => calls.retire(contracts, { app: app.app, mirror: mirror.mirror }),
  }
}

export function withdraw(app: AppView, mirror: Mirror): Proposal {
  const bond = BigInt(mirror.bond)
  return {
    ...own(app),
    title: `Withdraw the bond of ${numbered(mirror, app)}`,
    will: [`Exactly ${formatMoney(bond, app.asset)} comes back to your wallet.`],
    build: (calls, contracts) => calls.withdraw(contracts, { ...of(app), mirror: mirror.mirror, bond }),
  }
}

export function requestExit(app: AppView, account: AccountView, percent: number): Proposal {
  const shares = (BigInt(account.deposit.shares) * BigInt(percent)) / 100n
  return {
    ...own(app),
    title: `Ask to leave the pool of ${app.name} with ${percent} per cent`,
    will: [
      'No money moves yet. Two epochs later you may take out what these shares are worth by then.',
      `Now that is ${formatMoney((BigInt(account.deposit.worth) * BigInt(percent)) / 100n, app.asset)}; epochs that are settled until then are still paid from it.`,
      ...(account.exit ? ['This takes the place of what you asked for before.'] : []),
    ],
    build: (calls, contracts) => calls.requestExit(contracts, { app: app.app, shares }),
  }
}

export function exit(app: AppView, worth: bigint): Proposal {
  return {
    ...own(app),
    title: `Leave the pool of ${app.name}`,
    will: [
      `At least ${formatMoney(worth, app.asset)} comes back to your wallet.`,
      'Should another epoch be settled before this is mined, it fails and your shares stay.',
    ],
    build: (calls, contracts) => calls.exit(contracts, { ...of(app), least: worth }),
  }
}

export function takeBack(app: AppView, amount: bigint): Proposal {
  return {
    ...own(app),
    title: `Take the waiting deposit back from ${app.name}`,
    will: [`Exactly ${formatMoney(amount, app.asset)} comes back to your wallet.`],
    build: (calls, contracts) => calls.takeBack(contracts, { ...of(app), amount }),
  }
}

export function activate(app: AppView, funder: string, amount: bigint): Proposal {
  return {
    ...own(app),
    title: `Let the waiting deposit count in ${app.name}`,
    will: [
      `${formatMoney(amount, app.asset)} that wait in the pool are spent on mirrors from now on. Nothing leaves your wallet.`,
      'Anybody may send this for you.',
    ],
    build: (calls, contracts) => calls.activate(contracts, { app: app.app, funder }),
  }
}

export function claim(app: AppView, { epoch, leaf, proof }: LeafProof): Proposal {
  const amount = BigInt(leaf.amount)
  return {
    title: `Have epoch ${epoch} of ${app.name} paid`,
    will: [
      `The pool pays ${formatMoney(amount, app.asset)} to ${leaf.recipient}, whoever sends this. Nothing leaves your wallet.`,
    ],
    app: app.app,
    expect: { kind: 'claim', epoch, index: leaf.index },
    build: (calls, contracts) =>
      calls.claim(contracts, { ...of(app), epoch, leaf: { ...leaf, amount }, proof }),
  }
}
