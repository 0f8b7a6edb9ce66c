import { registerMirror, setEndpoint } from '@understudy/chain/calls'
import { bondAt } from '@understudy/chain/state'
import { epochAt, epochStart } from '@understudy/protocol/epoch'
import { formatMoney } from '@understudy/protocol/money'
import { command, type Io } from '../../command.ts'
import { Failure } from '../../failure.ts'
import {
  appArgs,
  appOf,
  chainArgs,
  feeArgs,
  findApp,
  keyArgs,
  openChain,
  relayArgs,
  secretOf,
  setting,
} from '../../network.ts'
import { endpointOf, nodeArgs, nodeKeyOf } from '../../node.ts'
import { createSender } from '../../transaction.ts'
import { bondOf, expect, networkOf } from './expect.ts'

export const mirrorRegister = (io: Io) =>
  command(io, {
    name: 'register',
    description: 'Register a mirror of an app and lay down its bond; or say where it has moved to',
    args: {
      ...nodeArgs,
      bond: {
        type: 'string',
        description: 'Bond (default: the least that the rules ask)',
        valueHint: 'amount',
      },
      ...appArgs,
      ...chainArgs,
      ...relayArgs,
      'key-file': keyArgs['key-file'],
      keys: keyArgs.keys,
      ...feeArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const endpoint = endpointOf(args, io)
      const nodeKey = await nodeKeyOf(args, io)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const bond = bondOf(app, args.bond)
      const sender = createSender(chain, secret, args, io)
      const mine = (at: typeof app) =>
        [...at.mirrors.values()].find(
          (mirror) => mirror.owner === sender.address && mirror.nodeKey === nodeKey && !mirror.withdrawn,
        )
      const before = mine(app)
      // Said before money moves; where it cannot be reckoned, the bond is laid down all the same.
      const expectation =
        before || !setting(io, args.relays, 'RELAYS')
          ? undefined
          : await expect(chain, app, { network: await networkOf(endpoint, io), bond }, args, io)
      for (const line of expectation?.lines ?? []) io.say(line)
      const wanted = { app: app.id, asset: app.asset, nodeKey, endpoint, bond }
      const call = !before
        ? registerMirror(chain.contracts, sender.address, wanted)
        : before.endpoint !== endpoint
          ? setEndpoint(chain.contracts, { app: app.id, mirror: before.id, endpoint })
          : undefined
      if (args['dry-run']) return sender.preview(call ? [call] : [])
      const transaction = call && (await sender.send(call))
      const mirror = before ?? mine(await findApp(chain, app.id))
      if (!mirror)
        throw new Failure('not-found', 'the chain does not show the mirror yet', 'run the command again')
      const next = Math.max(0, epochAt(app.schedule, mirror.since) + 1)
      const counts = bondAt(mirror, epochStart(app.schedule, next)) > 0n
      return {
        lines: [
          `mirror       ${mirror.id}`,
          `owner        ${mirror.owner}, which is paid`,
          `bond         ${formatMoney(mirror.bond, app.asset)}`,
          counts ? `counts from  epoch ${next}` : 'does not count: its bond is being taken back',
          `transaction  ${transaction?.txid ?? 'none: it was registered before'}`,
        ],
        data: {
          app: app.id,
          asset: app.asset,
          mirror: mirror.id,
          owner: mirror.owner,
          nodeKey,
          endpoint,
          bond: mirror.bond,
          since: mirror.since,
          txid: transaction?.txid ?? null,
          registered: before === undefined,
          expected: expectation ? { here: expectation.here, alone: expectation.alone } : null,
        },
      }
    },
  })
