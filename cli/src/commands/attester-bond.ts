import { join, resolve } from 'node:path'
import { validateStacksAddress } from '@stacks/transactions'
import { attesterBondHash, bondAttester, withdrawAttester } from '@understudy/chain/calls'
import { rulesAt } from '@understudy/chain/state'
import { epochEnd } from '@understudy/protocol/epoch'
import { isHex32 } from '@understudy/protocol/event'
import { formatMoney } from '@understudy/protocol/money'
import { attesterKey, pubkeyOf } from '@understudy/protocol/rules'
import { recoverKey, signHash } from '@understudy/protocol/sip018'
import { parseAmount } from '../amount.ts'
import { callCommand } from '../calling.ts'
import { command, type Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { readKey } from '../keys.ts'
import { appArgs, appOf, chainArgs, openChain } from '../network.ts'

const key = {
  type: 'string',
  description: 'The attester’s public key, 64 hex digits',
  valueHint: 'key',
  required: true,
} as const

function keyOf(given: string): string {
  if (isHex32(given)) return attesterKey(given)
  throw new UsageFailure(`--key: ${given} is not a public key`, 'the attester prints it when it starts')
}

export const agreeToBond = (io: Io) =>
  command(io, {
    name: 'agree',
    description: 'On the attester: sign that a wallet may put a bond behind its key',
    args: {
      owner: {
        type: 'string',
        description: 'The wallet that will pay',
        valueHint: 'address',
        required: true,
      },
      'attester-key-file': {
        type: 'string',
        description: 'Key of the attester (default DATA_DIR/attester.key)',
        valueHint: 'file',
      },
      ...appArgs,
      ...chainArgs,
    },
    async run(args) {
      if (!validateStacksAddress(args.owner))
        throw new UsageFailure(`--owner: ${args.owner} is not a Stacks address`)
      const app = appOf(args, io)
      const file = args['attester-key-file'] || join(io.env.DATA_DIR || './data', 'attester.key')
      const secret = readKey(resolve(io.cwd, file))
      const { contracts, info } = await openChain(args, io)
      const hash = attesterBondHash(contracts, { app, owner: args.owner }, info.chainId)
      const signature = signHash(hash, secret)
      const publicKey = pubkeyOf(recoverKey(hash, signature)!)
      return {
        lines: [`key          ${publicKey}`, `signature    ${signature}`],
        data: { app, owner: args.owner, key: publicKey, signature },
      }
    },
  })

export const putAttesterBond = (io: Io) =>
  callCommand(io, {
    name: 'put',
    description: 'Put money behind an attester that agreed; it is lost when the attester contradicts itself',
    args: {
      key,
      amount: {
        type: 'string',
        description: 'How much, in the app’s asset',
        valueHint: 'amount',
        required: true,
      },
      signature: {
        type: 'string',
        description: 'What understudy attester-bond agree printed',
        valueHint: 'hex',
        required: true,
      },
    },
    plan(args, { app, chain, address }) {
      const attester = keyOf(args.key)
      const amount = parseAmount('amount', args.amount, app.asset)
      if (amount === 0n) throw new UsageFailure('--amount: nothing is no bond')
      const { signature } = args
      const hash = attesterBondHash(chain.contracts, { app: app.id, owner: address }, chain.info.chainId)
      if (recoverKey(hash, signature) !== attester)
        throw new Failure(
          'not-agreed',
          `the attester did not sign that ${address} may bond it`,
          `understudy attester-bond agree --owner ${address}`,
        )
      if (app.banned.has(attester))
        throw new Failure('banned', 'this key contradicted itself and counts no more')
      const held = app.attesters.get(attester)
      if (held && held.owner !== address)
        throw new Failure('bonded', `${held.owner} has put a bond behind this key`)
      const bond = (held?.amount ?? 0n) + amount
      return {
        call: bondAttester(chain.contracts, address, {
          app: app.id,
          asset: app.asset,
          key: attester,
          amount,
          signature,
        }),
        lines: [`attester     ${args.key}`, `bond         ${formatMoney(bond, app.asset)}, of ${address}`],
        data: { asset: app.asset, key: args.key, bond, owner: address },
      }
    },
  })

export const withdrawAttesterBond = (io: Io) =>
  callCommand(io, {
    name: 'withdraw',
    description: 'Take an attester’s bond back once no rules list it and its last epoch is final',
    args: { key },
    plan(args, { app, chain, address, epoch }) {
      const attester = keyOf(args.key)
      const held = app.attesters.get(attester)
      if (!held) throw new Failure('not-bonded', 'no bond stands behind this key')
      if (held.owner !== address)
        throw new Failure(
          'not-yours',
          `the bond is ${held.owner}'s, not ${address}'s`,
          'give the --key-file of its owner',
        )
      const newest = app.rules.at(-1)
      const over = newest?.until != null && epoch >= newest.until
      const listing = [over ? undefined : newest, rulesAt(app, Math.max(0, epoch))].find((rules) =>
        rules?.keys.includes(attester),
      )
      if (listing)
        throw new Failure(
          'listed',
          `rules ${listing.version} list this key`,
          'wait until they govern no more',
        )
      const last = rulesAt(app, epoch - 1)
      const final = epochEnd(app.schedule, epoch - 1) + (last ? last.window + last.challenge : 0)
      if (last?.keys.includes(attester) && chain.info.burnHeight < final)
        throw new Failure(
          'not-ready',
          `epoch ${epoch - 1}, the last that lists this key, is final from burn block ${final} on`,
          'wait, and let the attester run: it is still needed to settle that epoch',
        )
      const { amount } = held
      return {
        call: withdrawAttester(chain.contracts, { app: app.id, asset: app.asset, key: attester, amount }),
        lines: [`taken back   ${formatMoney(amount, app.asset)}, to ${address}`],
        data: { asset: app.asset, key: args.key, amount, owner: address },
      }
    },
  })
