import { Cl, ClarityType, type ClarityValue, cvToString } from '@stacks/transactions'
import * as calls from '@understudy/chain/calls'
import { type Asset, contractNames, deployedSource } from '@understudy/chain/contracts'
import { commitmentHash } from '@understudy/protocol/commitment'
import { payoutLeafHash } from '@understudy/protocol/merkle'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  attestersOf,
  chainId,
  contracts,
  foreigner,
  type Network,
  openNetwork,
  passes,
  signaturesOf,
  sourceOf,
  terms,
  treeOf,
} from './network.ts'

// Every error that a public function can answer, as its source says, is answered here once: by the state that an app is in, by function, by
// error. A function or an error that is added to a source and not here fails the first test.

const { maintainer, funder, operator, neighbour, stranger, saver } = accounts
const { budget, window, challenge, claimPeriod } = terms
const unknown = '00'.repeat(32)
const most = 2n ** 128n - 1n
const attesters = attestersOf(3)
const payouts = treeOf([
  [operator, 40_000_000n],
  [contracts.pool, 1_000n],
  [neighbour, 20_000_000n],
])
/** Its last leaf is more than what is allocated; its third names no mirror of ours. */
const odd = {
  ...treeOf([
    [operator, 10n],
    [neighbour, 100n],
  ]),
  allocated: 50n,
}

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

/** Lets the app's first epoch end, with money in the pool. */
function ended(): App {
  const app = network.openApp()
  network.deposit(app, budget)
  network.bondMirror(app)
  network.mineTo(app.end(0))
  return app
}

function settled(tree = payouts, waits = 0): App {
  const app = ended()
  expect(network.settleWith(network.messageOf(app, 0, tree)).outcome).toBe('ok')
  if (waits > 0) network.mineTo(network.burnHeight + waits)
  return app
}

const bondOf = (app: App, at: number, changes: object = {}) => {
  const hash = calls.attesterBondHash(contracts, { app: app.id, owner: saver }, chainId)
  const signature = signHash(hash, attesters[at]!.secret)
  return { app: app.id, key: attesters[at]!.key, amount: 1_000n, signature, ...changes }
}
const outcome = (app: App, changes: object = {}) => ({ ...network.messageOf(app, 0, payouts), ...changes })
const settle = (app: App, changes: object = {}, signing?: readonly boolean[]) => {
  const message = outcome(app, changes)
  return calls.settle(contracts, message, signaturesOf(message, signing))
}
const commitments = (app: App, at = 0, roots = ['01', '02']) =>
  roots.map((byte) => {
    const said = { pool: contracts.pool, app: app.id, epoch: 0, root: byte.repeat(32), count: 3 }
    return { ...said, signature: signHash(commitmentHash(said, chainId), attesters[at]!.secret) }
  }) as unknown as Parameters<typeof calls.reportCommitments>[2]
const outcomes = (app: App, at = 0, roots = ['01', '02']) =>
  roots.map((byte) => {
    const said = outcome(app, { root: byte.repeat(32) })
    return { ...said, signature: signHash(settlementHash(said, chainId), attesters[at]!.secret) }
  }) as unknown as Parameters<typeof calls.reportSettlements>[2]
const accused = (app: App, changes: object = {}) => ({
  ...{ app: app.id, epoch: 0, version: 1, key: attesters[0]!.key },
  ...changes,
})
const withInputs = (app: App, changes: object = {}) => ({
  ...accused(app, changes),
  ...{ round: 0, inputs: outcome(app).inputs },
})
const leafOf = (app: App, index: number, changes: object = {}, tree: typeof odd = payouts) => ({
  ...{ app: app.id, epoch: 0, proof: tree.proof(index) },
  leaf: { ...tree.leaves[index]!, ...changes },
})
const epochOf = (app: App, epoch = 0) => ({ app: app.id, epoch })
const mirrorOf = (app: App, mirror = 1) => ({ app: app.id, mirror })
const rules = (changes: object) => ({ ...terms, ...changes })
const change = (app: App, changes: object, from = 3) =>
  calls.changeRules(contracts, { app: app.id, from, terms: rules(changes) })
const deposit = (app: App, changes: object = {}) =>
  calls.fund(contracts, funder, { app: app.id, amount: 5n, rulesVersion: 1, minShares: 0n, ...changes })
const mirror = (app: App, changes: object = {}) =>
  calls.registerMirror(contracts, operator, {
    ...{ app: app.id, nodeKey: '33'.repeat(32), endpoint: 'https://m', bond: terms.minBond },
    ...changes,
  })
const register = (schedule: object, changes: object = {}, coordinate = network.nextCoordinate()) =>
  calls.registerApp(contracts, {
    coordinate,
    schedule: { ...network.nextSchedule(), ...schedule },
    terms: rules(changes),
  })

/** What rules may not say, in `register-app` and in `change-rules` alike. */
const badTerms: Readonly<Record<string, object>> = {
  ERR_BUDGET: { budget: 0n },
  ERR_KEY_COUNT: { keys: [] },
  ERR_KEYS: { keys: [`03${'11'.repeat(32)}`] },
  ERR_PLACES: { places: 0 },
  ERR_LEVELS: { levels: [] },
  ERR_FLOOR: { floor: 1_000_001 },
  ERR_DOMAIN_BOND: { domainBond: terms.minBond - 1n },
  ERR_FEE: { fee: terms.budget + 1n },
  ERR_GRACE: { grace: 52_561 },
  ERR_MIN_BOND: { minBond: 0n },
  ERR_FAULTS: { faults: 3 },
  ERR_WINDOW: { window: 31 },
  ERR_CHALLENGE: { challenge: 5 },
  ERR_CLAIM_PERIOD: { claimPeriod: 59 },
  ERR_RELEASE_KEY: { releaseKey: '11' },
  ERR_MIN_SEQ: { minSeq: 1_000_000_001 },
}

const owners = {
  'set-endpoint': (mirror: ReturnType<typeof mirrorOf>) =>
    calls.setEndpoint(contracts, { ...mirror, endpoint: 'https://m' }),
  'replace-node-key': (mirror: ReturnType<typeof mirrorOf>) =>
    calls.replaceNodeKey(contracts, { ...mirror, nodeKey: '44'.repeat(32) }),
  'add-bond': (mirror: ReturnType<typeof mirrorOf>, amount = 5n) =>
    calls.addBond(contracts, operator, { ...mirror, amount }),
  'begin-unbond': (mirror: ReturnType<typeof mirrorOf>) => calls.beginUnbond(contracts, mirror),
  retire: (mirror: ReturnType<typeof mirrorOf>) => calls.retire(contracts, mirror),
  withdraw: (mirror: ReturnType<typeof mirrorOf>) =>
    calls.withdraw(contracts, { ...mirror, bond: terms.minBond }),
}

/** The pool's own call, which nobody else may make. */
const ban = (app: string): calls.ContractCall => ({
  ...{ contract: contracts.quorum, functionName: 'ban', postConditions: [], postConditionMode: 'deny' },
  functionArgs: [Cl.bufferFromHex(app), Cl.uint(1), Cl.bufferFromHex(attesters[0]!.key)],
})

const range = (app: App, tree: typeof odd = payouts) =>
  calls.claimRange(contracts, { ...epochOf(app), leaves: tree.leaves, start: 0 })

/** A tree of one leaf, for a mirror that cannot be. */
const nobody = (() => {
  const leaf = { ...payouts.leaves[0]!, mirror: 1_000_000_001 }
  return {
    leaves: [leaf],
    root: Buffer.from(payoutLeafHash(leaf)).toString('hex'),
    allocated: leaf.amount,
    count: 1,
  }
})()

type Case = readonly [error: string, call: (app: App) => calls.ContractCall, sender?: string]

/** By the state that an app is in, in the order in which its calls are tried. Whoever is not named is a stranger. */
const states: Readonly<Record<string, { readonly open: () => App; readonly cases: readonly Case[] }>> = {
  'an app that runs': {
    open: () => {
      const app = network.openApp()
      network.bondMirror(app)
      network.send(calls.bondAttester(contracts, saver, bondOf(app, 1)), saver)
      return app
    },
    cases: [
      ['ERR_APP_EXISTS', (app) => register({}, {}, app.coordinate)],
      ['ERR_COORDINATE', () => register({}, {}, '30617:short:d')],
      ['ERR_START', () => register({ start: 0 })],
      ['ERR_LENGTH', () => register({ length: 0 })],
      ['ERR_NOTICE', () => register({ notice: 2 })],
      ['ERR_CAP', () => register({ cap: 0n })],
      ...Object.entries(badTerms).flatMap(([error, changes]): Case[] => [
        [error, () => register({}, changes)],
        [error, (app) => change(app, changes), maintainer],
      ]),
      ['ERR_UNKNOWN_APP', (app) => change({ ...app, id: unknown }, {})],
      ['ERR_NOT_MAINTAINER', (app) => change(app, {})],
      ['ERR_FROM', (app) => change(app, {}, 2), maintainer],
      ['ERR_UNKNOWN_APP', () => calls.endRules(contracts, unknown)],
      ['ERR_NOT_MAINTAINER', (app) => calls.endRules(contracts, app.id)],
      ...(['UNKNOWN_APP', 'NOT_MAINTAINER', 'RELEASE_KEY', 'MIN_SEQ'] as const).map(
        (error): Case => [
          `ERR_${error}`,
          (app) =>
            calls.replaceReleaseKey(contracts, {
              app: error === 'UNKNOWN_APP' ? unknown : app.id,
              releaseKey: error === 'RELEASE_KEY' ? '11' : '11'.repeat(32),
              minSeq: error === 'MIN_SEQ' ? 1_000_000_001 : 0,
            }),
          error === 'NOT_MAINTAINER' ? stranger : maintainer,
        ],
      ),
      ['ERR_UNKNOWN_APP', () => calls.offerMaintainer(contracts, { app: unknown, to: null })],
      ['ERR_NOT_MAINTAINER', (app) => calls.offerMaintainer(contracts, { app: app.id, to: null })],
      ['ERR_UNKNOWN_APP', () => calls.acceptMaintainer(contracts, unknown)],
      ['ERR_NOT_OFFERED', (app) => calls.acceptMaintainer(contracts, app.id)],
      ['ERR_UNKNOWN_APP', () => ban(unknown)],
      ['ERR_NOT_POOL', (app) => ban(app.id)],

      ['ERR_UNKNOWN_APP', (app) => mirror(app, { app: unknown }), operator],
      ['ERR_OWNER', (app) => mirror(app), foreigner],
      ['ERR_NODE_KEY', (app) => mirror(app, { nodeKey: '33' }), operator],
      ['ERR_ENDPOINT', (app) => mirror(app, { endpoint: '' }), operator],
      ['ERR_BOND_TOO_LOW', (app) => mirror(app, { bond: terms.minBond - 1n }), operator],
      ['ERR_MIRROR_EXISTS', (app) => mirror(app, { nodeKey: '22'.repeat(32) }), operator],
      ['(err u1)', (app) => mirror(app, { bond: most }), operator],
      ...(
        ['set-endpoint', 'replace-node-key', 'add-bond', 'begin-unbond', 'retire', 'withdraw'] as const
      ).flatMap((name): Case[] => [
        ['ERR_UNKNOWN_MIRROR', (app) => owners[name](mirrorOf(app, 9)), operator],
        ['ERR_NOT_OWNER', (app) => owners[name](mirrorOf(app))],
      ]),
      ['ERR_ENDPOINT', (app) => calls.setEndpoint(contracts, { ...mirrorOf(app), endpoint: '' }), operator],
      [
        'ERR_NODE_KEY',
        (app) => calls.replaceNodeKey(contracts, { ...mirrorOf(app), nodeKey: '33' }),
        operator,
      ],
      [
        'ERR_MIRROR_EXISTS',
        (app) => calls.replaceNodeKey(contracts, { ...mirrorOf(app), nodeKey: '22'.repeat(32) }),
        operator,
      ],
      ['ERR_AMOUNT', (app) => owners['add-bond'](mirrorOf(app), 0n), operator],
      ['(err u1)', (app) => owners['add-bond'](mirrorOf(app), most), operator],
      ['ERR_NOT_UNBONDING', (app) => owners.withdraw(mirrorOf(app)), operator],

      ['ERR_UNKNOWN_APP', (app) => deposit(app, { app: unknown }), funder],
      ['ERR_RULES_VERSION', (app) => deposit(app, { rulesVersion: 2 }), funder],
      ['ERR_AMOUNT', (app) => deposit(app, { amount: 0n }), funder],
      ['ERR_MIN_SHARES', (app) => deposit(app, { minShares: 6n }), funder],
      ['(err u1)', (app) => deposit(app, { amount: 10n ** 16n }), funder],
      ['ERR_UNKNOWN_APP', () => calls.activate(contracts, { app: unknown, funder })],
      ['ERR_NOTHING_PARKED', (app) => calls.activate(contracts, { app: app.id, funder })],
      ['ERR_NOTHING_PARKED', (app) => calls.takeBack(contracts, { app: app.id, amount: 5n })],
      ['ERR_UNKNOWN_APP', () => calls.requestExit(contracts, { app: unknown, shares: 0n })],
      ['ERR_SHARES', (app) => calls.requestExit(contracts, { app: app.id, shares: 1n })],
      ['ERR_UNKNOWN_APP', () => calls.exit(contracts, { app: unknown, least: 0n })],
      ['ERR_NOT_REQUESTED', (app) => calls.exit(contracts, { app: app.id, least: 0n })],
      ['ERR_UNKNOWN_APP', () => calls.veto(contracts, { app: unknown, epoch: 0 })],
      ['ERR_TOO_EARLY', (app) => settle(app)],
      ['ERR_UNKNOWN_EPOCH', (app) => settle(app, { app: unknown })],
      [
        'ERR_UNKNOWN_APP',
        (app) => calls.bondAttester(contracts, saver, bondOf(app, 0, { app: unknown })),
        saver,
      ],
      ['ERR_AMOUNT', (app) => calls.bondAttester(contracts, saver, bondOf(app, 0, { amount: 0n })), saver],
      ['ERR_BONDED', (app) => calls.bondAttester(contracts, stranger, bondOf(app, 1))],
      [
        'ERR_SIGNATURES',
        (app) => calls.bondAttester(contracts, saver, bondOf(app, 0, { key: attesters[2]!.key })),
        saver,
      ],
      ['(err u1)', (app) => calls.bondAttester(contracts, saver, bondOf(app, 0, { amount: most })), saver],
      ['ERR_NOT_BONDED', (app) => calls.withdrawAttester(contracts, bondOf(app, 2)), saver],
      ['ERR_NOT_OWNER', (app) => calls.withdrawAttester(contracts, bondOf(app, 1))],
      ['ERR_LISTED', (app) => calls.withdrawAttester(contracts, bondOf(app, 1)), saver],
    ],
  },

  'an app with a key that contradicted itself': {
    open: () => {
      const app = ended()
      network.send(calls.reportCommitments(contracts, accused(app), commitments(app)), stranger)
      return app
    },
    cases: [
      ['ERR_BANNED', (app) => calls.reportCommitments(contracts, accused(app), commitments(app))],
      ['ERR_BANNED', (app) => calls.reportSettlements(contracts, withInputs(app), outcomes(app))],
      ['ERR_BANNED', (app) => calls.bondAttester(contracts, saver, bondOf(app, 0)), saver],
      ['ERR_BANNED', (app) => change(app, {}, 5), maintainer],
    ],
  },

  'an app whose rules end': {
    open: () => {
      const app = network.openApp()
      network.send(calls.endRules(contracts, app.id), maintainer)
      return app
    },
    cases: [['ERR_ENDED', (app) => calls.endRules(contracts, app.id), maintainer]],
  },

  'an app with rules that wait': {
    open: () => {
      const app = network.openApp()
      network.send(change(app, {}), maintainer)
      return app
    },
    cases: [
      ['ERR_PENDING', (app) => change(app, {}, 9), maintainer],
      ['ERR_PENDING', (app) => calls.endRules(contracts, app.id), maintainer],
    ],
  },

  'a mirror that unbonds': {
    open: () => {
      const app = network.openApp()
      network.bondMirror(app)
      network.send(owners['begin-unbond'](mirrorOf(app)), operator)
      return app
    },
    cases: [
      ['ERR_UNBONDING', (app) => owners['add-bond'](mirrorOf(app)), operator],
      ['ERR_UNBONDING', (app) => owners['begin-unbond'](mirrorOf(app)), operator],
      ['ERR_NOT_READY', (app) => owners.withdraw(mirrorOf(app)), operator],
    ],
  },

  'a mirror that retired': {
    open: () => {
      const app = network.openApp()
      network.bondMirror(app)
      network.send(owners.retire(mirrorOf(app)), operator)
      return app
    },
    cases: [
      ['ERR_RETIRED', (app) => owners['set-endpoint'](mirrorOf(app)), operator],
      ['ERR_RETIRED', (app) => owners['replace-node-key'](mirrorOf(app)), operator],
      ['ERR_RETIRED', (app) => owners.retire(mirrorOf(app)), operator],
    ],
  },

  'a mirror whose bond was withdrawn': {
    open: () => {
      const app = network.openApp()
      network.bondMirror(app)
      network.send(owners['begin-unbond'](mirrorOf(app)), operator)
      network.mineTo(network.burnHeight + app.schedule.length + window + challenge)
      network.send(owners.withdraw(mirrorOf(app)), operator)
      return app
    },
    cases: [
      ['ERR_WITHDRAWN', (app) => owners['set-endpoint'](mirrorOf(app)), operator],
      ['ERR_WITHDRAWN', (app) => owners['replace-node-key'](mirrorOf(app)), operator],
      ['ERR_WITHDRAWN', (app) => owners.retire(mirrorOf(app)), operator],
      ['ERR_WITHDRAWN', (app) => owners.withdraw(mirrorOf(app)), operator],
    ],
  },

  'an epoch that ended': {
    open: () => {
      const app = ended()
      network.deposit(app, 5n, saver)
      network.send(calls.requestExit(contracts, { app: app.id, shares: 1n }), funder)
      return app
    },
    cases: [
      ['ERR_NOT_QUIET', (app) => calls.activate(contracts, { app: app.id, funder: saver })],
      ['ERR_MIN_SHARES', (app) => deposit(app, { minShares: most }), funder],
      ['ERR_NOT_READY', (app) => calls.exit(contracts, { app: app.id, least: 0n }), funder],
      ['ERR_ROUND', (app) => settle(app, { round: 1 })],
      ['ERR_INPUTS', (app) => settle(app, { inputs: '33' })],
      ['ERR_OUTCOME', (app) => settle(app, { count: 0 })],
      ['ERR_OVER_BUDGET', (app) => settle(app, { allocated: budget + 1n })],
      [
        'ERR_SIGNATURES',
        (app) => calls.settle(contracts, outcome(app, { count: 2 }), signaturesOf(outcome(app))),
      ],
      ['ERR_QUORUM', (app) => settle(app, {}, [true, false, false])],
      ['ERR_NOT_SETTLED', (app) => calls.veto(contracts, epochOf(app)), maintainer],
      ['ERR_NOT_SETTLED', (app) => calls.addSignatures(contracts, epochOf(app), [])],
      ['ERR_NOT_SETTLED', (app) => calls.strike(contracts, epochOf(app))],
      ['ERR_NOT_SETTLED', (app) => calls.sweep(contracts, epochOf(app))],
      ['ERR_NOT_SETTLED', (app) => calls.claim(contracts, leafOf(app, 0))],
      ['ERR_NOT_SETTLED', (app) => range(app)],
      [
        'ERR_SAME',
        (app) => calls.reportCommitments(contracts, accused(app), commitments(app, 0, ['01', '01'])),
      ],
      [
        'ERR_SAME',
        (app) => calls.reportSettlements(contracts, withInputs(app), outcomes(app, 0, ['01', '01'])),
      ],
      ['ERR_SIGNATURES', (app) => calls.reportCommitments(contracts, accused(app), commitments(app, 1))],
      ['ERR_SIGNATURES', (app) => calls.reportSettlements(contracts, withInputs(app), outcomes(app, 1))],
      [
        'ERR_UNKNOWN_EPOCH',
        (app) => calls.reportCommitments(contracts, accused(app, { version: 2 }), commitments(app)),
      ],
      [
        'ERR_UNKNOWN_EPOCH',
        (app) => calls.reportSettlements(contracts, withInputs(app, { version: 2 }), outcomes(app)),
      ],
    ],
  },

  'an app that lists one attester': {
    open: () => {
      const app = network.openApp({ keys: [attesters[1]!.key], faults: 0 })
      network.mineTo(app.end(0))
      return app
    },
    cases: [
      ['ERR_KEY', (app) => calls.reportCommitments(contracts, accused(app), commitments(app))],
      ['ERR_KEY', (app) => calls.reportSettlements(contracts, withInputs(app), outcomes(app))],
      ['ERR_OVER_FREE', (app) => settle(app, { allocated: 60_001_000n })],
    ],
  },

  'an epoch whose window is over': {
    open: () => {
      const app = ended()
      network.deposit(app, 5n, saver)
      network.mineTo(app.end(0) + window)
      network.send(change(app, {}, 5), maintainer)
      return app
    },
    cases: [
      ['ERR_TOO_LATE', (app) => settle(app)],
      ['ERR_RULES_VERSION', (app) => calls.activate(contracts, { app: app.id, funder: saver })],
    ],
  },

  'a deposit that asked for more shares than it is worth': {
    open: () => {
      const app = ended()
      network.send(deposit(app, { amount: 5n, minShares: 6n }), funder)
      network.mineTo(app.end(0) + window)
      return app
    },
    cases: [['ERR_MIN_SHARES', (app) => calls.activate(contracts, { app: app.id, funder })]],
  },

  'a wish to leave when an epoch ended': {
    open: () => {
      const app = ended()
      network.mineTo(app.end(0) + window)
      network.send(calls.requestExit(contracts, { app: app.id, shares: 1n }), funder)
      network.mineTo(app.end(2))
      return app
    },
    cases: [['ERR_NOT_QUIET', (app) => calls.exit(contracts, { app: app.id, least: 0n }), funder]],
  },

  'an epoch that is settled': {
    open: settled,
    cases: [
      ['ERR_SETTLED', (app) => settle(app)],
      ['ERR_NOT_MAINTAINER', (app) => calls.veto(contracts, epochOf(app))],
      ['ERR_SIGNATURES', (app) => calls.addSignatures(contracts, epochOf(app), ['11'.repeat(65)])],
      ['ERR_STANDS', (app) => calls.strike(contracts, epochOf(app))],
      ['ERR_CLAIMABLE', (app) => calls.sweep(contracts, epochOf(app))],
      ['ERR_NOT_PAYABLE', (app) => calls.claim(contracts, leafOf(app, 0))],
      ['ERR_NOT_PAYABLE', (app) => range(app)],
    ],
  },

  'an epoch that is settled again': {
    open: () => {
      const app = settled()
      network.send(calls.veto(contracts, epochOf(app)), maintainer)
      expect(network.send(settle(app, { round: 1 }), stranger).outcome).toBe('ok')
      return app
    },
    cases: [['ERR_ROUND', (app) => calls.veto(contracts, epochOf(app)), maintainer]],
  },

  'an epoch that is payable': {
    open: () => {
      const app = settled(payouts, challenge)
      network.send(calls.claim(contracts, leafOf(app, 0)), stranger)
      return app
    },
    cases: [
      ['ERR_PAYABLE', (app) => calls.veto(contracts, epochOf(app)), maintainer],
      ['ERR_PAYABLE', (app) => calls.addSignatures(contracts, epochOf(app), [])],
      ['ERR_PAYABLE', (app) => calls.strike(contracts, epochOf(app))],
      ['ERR_INDEX', (app) => calls.claim(contracts, leafOf(app, 0, { index: 3 }))],
      ['ERR_PROOF', (app) => calls.claim(contracts, leafOf(app, 2, { amount: 1n }))],
      ['ERR_RECIPIENT', (app) => calls.claim(contracts, leafOf(app, 1))],
      ['ERR_CLAIMED', (app) => calls.claim(contracts, leafOf(app, 0))],
      ['ERR_PROOF', (app) => range(app, odd)],
      ['ok', (app) => range(app)],
      ['ERR_CLAIMED', (app) => range(app)],
    ],
  },

  'an epoch whose leaves are more than was allocated': {
    open: () => settled(odd, challenge),
    cases: [['ERR_OVER_ALLOCATED', (app) => calls.claim(contracts, leafOf(app, 1, {}, odd))]],
  },

  'an epoch that pays a mirror of no number': {
    open: () => {
      const { leaves, root, allocated, count } = nobody
      return settled({ ...payouts, leaves, root, allocated, count }, challenge)
    },
    cases: [
      [
        'ERR_MIRROR',
        (app) => calls.claim(contracts, { ...epochOf(app), leaf: nobody.leaves[0]!, proof: [] }),
      ],
    ],
  },

  'an epoch that was swept': {
    open: () => {
      const app = settled(payouts, challenge + claimPeriod)
      network.send(calls.sweep(contracts, epochOf(app)), stranger)
      return app
    },
    cases: [
      ['ERR_SWEPT', (app) => calls.sweep(contracts, epochOf(app))],
      ['ERR_SWEPT', (app) => calls.claim(contracts, leafOf(app, 0))],
      ['ERR_SWEPT', (app) => range(app)],
    ],
  },
}

describe.each(Object.keys(states))('%s', (state) => {
  const { open, cases } = states[state]!
  let app: App
  beforeAll(() => {
    app = open()
  })
  it.each(cases.map(([error, call, sender]) => ({ error, call, sender })))(
    'answers $error',
    ({ error, call, sender = stranger }) => {
      const made = call(app)
      expect(`${made.functionName}: ${network.send(made, sender).outcome}`).toBe(
        `${made.functionName}: ${error}`,
      )
    },
  )
})

/** What a source names and no call can bring about, and why. */
const unreachable: Readonly<Record<string, string>> = {
  'add-bond ERR_UNKNOWN_APP': 'a mirror is of an app that was registered, and no app goes',
  'begin-unbond ERR_UNKNOWN_APP': 'the same',
  'retire ERR_UNKNOWN_APP': 'the same',
  'withdraw-attester ERR_UNKNOWN_APP': 'a bond is of an app that was registered, and no app goes',
  'add-signatures ERR_UNKNOWN_EPOCH': 'what is settled was settled under a row, and no row goes',
  'strike ERR_UNKNOWN_EPOCH': 'the same',
  'sweep ERR_UNKNOWN_EPOCH': 'the same',
  'report-commitments ERR_NOT_SETTLED': 'a report asks `strike` to void, and succeeds where that cannot',
  'report-commitments ERR_PAYABLE': 'the same',
  'report-commitments ERR_STANDS': 'the same',
  'report-settlements ERR_NOT_SETTLED': 'the same',
  'report-settlements ERR_PAYABLE': 'the same',
  'report-settlements ERR_STANDS': 'the same',
  'ban ERR_KEY': 'the pool alone gets so far: see report-commitments',
  'ban ERR_BANNED': 'the same',
}

/** The forms of a source, by the name that each defines. */
function formsOf(source: string): Map<string, { readonly kind: string; readonly body: string }> {
  const forms = source.split(/\n(?=\(define-)/)
  return new Map(
    forms.map((body) => {
      const [, kind, name] = /^\(define-([a-z-]+) \(?([^\s()]+)/.exec(body)!
      return [name!, { kind: kind!, body }]
    }),
  )
}

/** The errors that a function names, itself or through those that it calls in its contract. */
function errorsOf(forms: ReturnType<typeof formsOf>, name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return new Set()
  seen.add(name)
  const { kind, body } = forms.get(name)!
  if (kind !== 'public' && kind !== 'private' && kind !== 'read-only') return new Set()
  const words: readonly string[] = body.match(/[A-Za-z][\w?!-]*/g) ?? []
  const own = words.filter((word) => /^ERR_/.test(word))
  const called = words.filter((word) => word !== name && forms.has(word))
  // Two private functions move money in; who sends too little hears Clarity's own error.
  const token = words.includes('take') && forms.get('take')?.kind === 'private' ? ['(err u1)'] : []
  return new Set([...own, ...token, ...called.flatMap((next) => [...errorsOf(forms, next, seen)])])
}

const sources = contractNames.map((name) => formsOf(deployedSource(sourceOf(name), chainId)))
const publicNames = sources.flatMap((forms) =>
  [...forms].filter(([, { kind }]) => kind === 'public').map(([name]) => name),
)

describe('the errors of the sources', () => {
  it('are all answered above, or argued to be out of reach', () => {
    const named = sources.flatMap((forms) =>
      [...forms]
        .filter(([, { kind }]) => kind === 'public')
        .flatMap(([name, { body }]) => {
          const reported = /convict/.test(body) ? ['ERR_KEY', 'ERR_BANNED'] : []
          return [...errorsOf(forms, name), ...reported].map((error) => `${name} ${error}`)
        }),
    )
    const app = network.openApp()
    const answered = Object.values(states).flatMap(({ cases }) =>
      cases.map(([error, call]) => `${call(app).functionName} ${error}`),
    )
    const covered = new Set([...answered, ...Object.keys(unreachable)])
    expect([...new Set(named)].filter((pair) => !covered.has(pair))).toEqual([])
    expect(Object.keys(unreachable).filter((pair) => !named.includes(pair))).toEqual([])
    expect(publicNames.length).toBe(30)
  })

  it('are different numbers, a hundred to each contract', () => {
    const codes = contractNames.map((name) =>
      [...sourceOf(name).matchAll(/\(define-constant ERR_\w+ \(err u(\d+)\)\)/g)].map((found) =>
        Number(found[1]),
      ),
    )
    expect(new Set(codes.flat()).size).toBe(codes.flat().length)
    for (const [at, own] of codes.entries())
      expect(own.every((code) => Math.floor(code / 100) === at + 1)).toBe(true)
  })
})

/** An app in which everyone has something: settled, not payable yet. Its deposits are the funder's; the saver's waits. */
function busy(asset: Asset = 'stx'): App {
  const app = network.openApp({}, asset)
  network.deposit(app, 2n * budget)
  network.bondMirror(app)
  network.send(calls.requestExit(contracts, { app: app.id, shares: 5n }), funder)
  for (const at of [0, 1, 2])
    network.send(calls.bondAttester(contracts, saver, { ...bondOf(app, at), asset }), saver)
  network.send(calls.offerMaintainer(contracts, { app: app.id, to: neighbour }), maintainer)
  network.mineTo(app.end(0))
  network.deposit(app, 5n, saver)
  const message = network.messageOf(app, 0, payouts)
  expect(network.settleWith(message, signaturesOf(message, [true, true, true])).outcome).toBe('ok')
  return app
}

/** Whose calls are whose alone: the function, its one caller, and what everybody else hears. */
const rights: readonly (readonly [
  name: string,
  who: string | undefined,
  error: string,
  call: (app: App) => calls.ContractCall,
])[] = [
  ['change-rules', maintainer, 'ERR_NOT_MAINTAINER', (app) => change(app, {}, 9)],
  ['end-rules', maintainer, 'ERR_NOT_MAINTAINER', (app) => calls.endRules(contracts, app.id)],
  [
    'replace-release-key',
    maintainer,
    'ERR_NOT_MAINTAINER',
    (app) => calls.replaceReleaseKey(contracts, { app: app.id, releaseKey: '11'.repeat(32), minSeq: 0 }),
  ],
  [
    'offer-maintainer',
    maintainer,
    'ERR_NOT_MAINTAINER',
    (app) => calls.offerMaintainer(contracts, { app: app.id, to: stranger }),
  ],
  ['accept-maintainer', neighbour, 'ERR_NOT_OFFERED', (app) => calls.acceptMaintainer(contracts, app.id)],
  ['ban', undefined, 'ERR_NOT_POOL', (app) => ban(app.id)],
  ...Object.entries(owners).map(
    ([name, call]) =>
      [name, operator, 'ERR_NOT_OWNER', (app: App): calls.ContractCall => call(mirrorOf(app))] as const,
  ),
  ['take-back', saver, 'ERR_NOTHING_PARKED', (app) => calls.takeBack(contracts, { app: app.id, amount: 5n })],
  ['request-exit', funder, 'ERR_SHARES', (app) => calls.requestExit(contracts, { app: app.id, shares: 1n })],
  ['exit', funder, 'ERR_NOT_REQUESTED', (app) => calls.exit(contracts, { app: app.id, least: 0n })],
  ['veto', maintainer, 'ERR_NOT_MAINTAINER', (app) => calls.veto(contracts, epochOf(app))],
  ['withdraw-attester', saver, 'ERR_NOT_OWNER', (app) => calls.withdrawAttester(contracts, bondOf(app, 0))],
]
/** What anyone may call; who pays or speaks in them is who sends them. */
const open = [
  ...['register-app', 'register-mirror', 'fund', 'activate', 'settle', 'add-signatures', 'strike'],
  ...['report-commitments', 'report-settlements', 'bond-attester', 'claim', 'claim-range', 'sweep'],
]

/** A literal that Clarity reads as this value. */
function literal(value: ClarityValue): string {
  if (value.type === ClarityType.PrincipalStandard || value.type === ClarityType.PrincipalContract)
    return `'${value.value}`
  if (value.type === ClarityType.OptionalSome) return `(some ${literal(value.value)})`
  if (value.type === ClarityType.StringASCII) return JSON.stringify(value.value)
  if (value.type === ClarityType.List) return `(list ${value.value.map(literal).join(' ')})`
  if (value.type !== ClarityType.Tuple) return cvToString(value)
  return `{ ${Object.entries(value.value)
    .map(([name, field]) => `${name}: ${literal(field)}`)
    .join(', ')} }`
}

describe('a wrong caller', () => {
  const deployer = contracts.quorum.split('.')[0]!
  let app: App
  beforeAll(() => {
    app = busy()
  })

  it('is known for every public function', () => {
    expect([...rights.map(([name]) => name), ...open].sort()).toEqual([...publicNames].sort())
  })

  it.each(rights)('of %s is everyone but its own, the deployer included', (_, who, error, call) => {
    for (const sender of [...Object.values(accounts), deployer])
      if (sender !== who) expect(network.send(call(app), sender).outcome).toBe(error)
  })

  it.each(rights)('of %s is also a contract that its own caller calls', (name, who, error, call) => {
    const { contract, functionName, functionArgs } = call(app)
    const args = functionArgs.map(literal).join(' ')
    const between = `between-${name}`
    network.deploy(
      between,
      `(define-public (go) (match (contract-call? '${contract} ${functionName} ${args}) done (ok true) code (err code)))`,
      stranger,
    )
    const go: calls.ContractCall = {
      contract: `${stranger}.${between}`,
      functionName: 'go',
      functionArgs: [],
      postConditions: [],
      postConditionMode: 'deny',
    }
    expect(network.send(go, who ?? deployer).outcome).toBe(error)
  })
})

/** The same value with every number in it replaced, one at a time, and all at once. */
function replaced(value: ClarityValue, by: bigint): ClarityValue[] {
  switch (value.type) {
    case ClarityType.UInt:
      return [Cl.uint(by)]
    case ClarityType.OptionalSome:
      return replaced(value.value, by).map(Cl.some)
    case ClarityType.List:
      return value.value.flatMap((item, at) =>
        replaced(item, by).map((other) => Cl.list(value.value.map((kept, i) => (i === at ? other : kept)))),
      )
    case ClarityType.Tuple:
      return Object.entries(value.value).flatMap(([name, field]) =>
        replaced(field, by).map((other) => Cl.tuple({ ...value.value, [name]: other })),
      )
    default:
      return []
  }
}

describe('numbers at their ends', () => {
  const valid: readonly (readonly [(app: App) => calls.ContractCall, string])[] = [
    ...rights.map(([, who, , call]) => [call, who ?? stranger] as const),
    [() => register({}), maintainer],
    [(app) => mirror(app), operator],
    [(app) => deposit(app), funder],
    [(app) => settle(app), stranger],
    [(app) => calls.addSignatures(contracts, epochOf(app), []), stranger],
    [(app) => calls.strike(contracts, epochOf(app)), stranger],
    [(app) => calls.reportCommitments(contracts, accused(app), commitments(app)), stranger],
    [(app) => calls.reportSettlements(contracts, withInputs(app), outcomes(app)), stranger],
    [(app) => calls.bondAttester(contracts, saver, bondOf(app, 0)), saver],
    [(app) => calls.claim(contracts, leafOf(app, 0)), stranger],
    [(app) => range(app), stranger],
    [(app) => calls.sweep(contracts, epochOf(app)), stranger],
  ]
  it.each([0n, 1n, most])(
    'are answered, never a failure of the contract: %i',
    { timeout: 240_000 },
    (number) => {
      const app = busy()
      for (const [call, sender] of valid) {
        const made = call(app)
        for (const [at, argument] of made.functionArgs.entries())
          for (const other of replaced(argument, number)) {
            const functionArgs = made.functionArgs.map((kept, i) => (i === at ? other : kept))
            // Neither ok nor an error of its own, a call that fails in Clarity throws here.
            const { result } = network.simnet.callPublicFn(
              made.contract,
              made.functionName,
              functionArgs,
              sender,
            )
            expect([ClarityType.ResponseOk, ClarityType.ResponseErr]).toContain(result.type)
          }
      }
      const { deposited, free, common, parked, owed, paid, refunded, slashed } = network.poolOf(app)
      expect(deposited! + slashed!).toBe(free! + parked! + owed! + paid! + refunded!)
      expect(common! <= free!).toBe(true)
    },
  )
})

describe.each(['stx', 'sbtc'] as const)('the post-conditions of a call that moves %s', (asset) => {
  /** Sends a call as the page does, and judges what it moved by other conditions too. */
  function holds(call: calls.ContractCall, sender: string, atMost = false): void {
    const answer = network.send(call, sender)
    expect(`${call.functionName}: ${answer.outcome}`).toBe(`${call.functionName}: ok`)
    expect(answer.moved.size + answer.movedSbtc.size).toBe(1)
    expect(asset === 'stx' ? answer.movedSbtc.size : answer.moved.size).toBe(0)
    expect(passes(call, answer, sender)).toBe(true)
    expect(passes({ ...call, postConditions: [] }, answer, sender)).toBe(false)
    const own = call.postConditions.filter(({ address }) => address === sender)
    const originator = { postConditions: own, postConditionMode: 'originator' } as const
    expect(passes(originator, answer, sender)).toBe(true)
    // What is only bounded from above may be less than the bound.
    if (atMost) return
    const [condition] = call.postConditions
    if (!condition || !('amount' in condition)) throw new Error('no amount')
    const off = BigInt(condition.amount) + (condition.condition === 'gte' ? 1n : -1n)
    const wrong = { ...call, postConditions: [{ ...condition, amount: off }] } as calls.ContractCall
    expect(passes(wrong, answer, sender)).toBe(false)
  }

  it('hold in deny mode and in originator mode, and not for one unit more or less', {
    timeout: 120_000,
  }, () => {
    const app = network.openApp({}, asset)
    const of = { app: app.id, asset }
    holds(deposit(app, { ...of, amount: 2n * budget }), funder)
    holds(mirror(app, { ...of, nodeKey: '22'.repeat(32) }), operator)
    holds(calls.addBond(contracts, operator, { ...mirrorOf(app), amount: 5n, asset }), operator)
    for (const at of [0, 1, 2])
      holds(calls.bondAttester(contracts, saver, { ...bondOf(app, at), asset }), saver)
    network.send(calls.requestExit(contracts, { app: app.id, shares: 5n }), funder)
    network.send(owners['begin-unbond'](mirrorOf(app)), operator)
    network.send(change(app, { keys: [attesters[2]!.key], faults: 0 }), maintainer)

    network.mineTo(app.end(0))
    // Under the rules that are newest now.
    network.deposit(app, 5n, saver, 2)
    holds(calls.takeBack(contracts, { ...of, amount: 5n }), saver)
    const message = network.messageOf(app, 0, payouts)
    network.settleWith(message, signaturesOf(message, [true, true, true]))
    network.mineTo(network.burnHeight + challenge)
    holds(calls.claim(contracts, { ...leafOf(app, 0), asset }), stranger)
    const left = { ...epochOf(app), leaves: payouts.leaves, start: 0, asset }
    holds(calls.claimRange(contracts, left), stranger, true)

    network.mineTo(app.end(2) + window + challenge)
    holds(calls.exit(contracts, { ...of, least: 3n }), funder)
    holds(calls.withdraw(contracts, { ...mirrorOf(app), bond: terms.minBond + 5n, asset }), operator)
    holds(calls.withdrawAttester(contracts, { ...bondOf(app, 1), asset }), saver)
  })

  const stake = 1_000n
  /** An app whose first epoch ended, with so much behind each of these attesters. */
  function bonded(bonds: readonly number[]): App {
    const app = network.openApp({}, asset)
    for (const at of bonds)
      network.send(calls.bondAttester(contracts, saver, { ...bondOf(app, at), asset }), saver)
    network.mineTo(app.end(0))
    return app
  }
  const reports = {
    'report-commitments': (app: App, at: number, bond: bigint) =>
      calls.reportCommitments(contracts, against(app, at), commitments(app, at), bond),
    'report-settlements': (app: App, at: number, bond: bigint) =>
      calls.reportSettlements(
        contracts,
        { ...withInputs(app), ...against(app, at) },
        outcomes(app, at),
        bond,
      ),
  }
  const against = (app: App, at: number) => ({ ...accused(app, { key: attesters[at]!.key }), asset })

  it.each(Object.entries(reports))(
    'let %s pay its reporter a tenth, and no unit more, in deny mode and in originator mode',
    (_, report) => {
      const app = bonded([0, 1, 2])
      holds(report(app, 0, stake), stranger)
      // Whoever believes that more is at stake bounds it too high, and is paid all the same.
      holds(report(app, 1, 2n * stake), neighbour, true)
      // The accused may report itself: nine tenths are gone.
      holds(report(app, 2, stake), saver)
      expect(network.poolOf(app)).toMatchObject({ bonded: 0n, slashed: (3n * stake * 9n) / 10n })
    },
  )

  it.each(Object.entries(reports))('let %s move nothing where no bond is at stake', (_, report) => {
    const app = bonded([])
    const call = report(app, 0, 0n)
    const answer = network.send(call, stranger)
    expect([answer.outcome, answer.moved.size, answer.movedSbtc.size]).toEqual(['ok', 0, 0])
    for (const postConditionMode of ['deny', 'originator'] as const)
      expect(passes({ ...call, postConditionMode }, answer, stranger)).toBe(true)
  })

  it.each(Object.entries(reports))(
    'undo %s where its sender would be paid more than was said',
    (_, report) => {
      // In deny mode the pool's outflow is bounded by the bond that the sender saw: a larger one undoes the transaction.
      expect(() => network.send(report(bonded([0]), 0, stake - 10n), stranger)).toThrow(
        'post-conditions forbid',
      )
    },
  )
})
