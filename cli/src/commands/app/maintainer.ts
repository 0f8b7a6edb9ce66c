import { validateStacksAddress } from '@stacks/transactions'
import { acceptMaintainer, offerMaintainer } from '@understudy/chain/calls'
import { callCommand, requireMaintainer } from '../../calling.ts'
import type { Io } from '../../command.ts'
import { Failure, UsageFailure } from '../../failure.ts'

export const offer = (io: Io) =>
  callCommand(io, {
    name: 'offer',
    description: 'Offer the app to another maintainer; without --to take the offer back',
    args: { to: { type: 'string', description: 'Who may accept it', valueHint: 'address' } },
    plan(args, ground) {
      requireMaintainer(ground)
      const { app, chain } = ground
      const to = args.to ?? null
      if (to !== null && !validateStacksAddress(to.split('.')[0]!))
        throw new UsageFailure(`--to: ${to} is not a Stacks principal`)
      return {
        call: offerMaintainer(chain.contracts, { app: app.id, to }),
        lines: [
          to === null ? 'the app is offered to nobody' : `${to} may take the app over: understudy app accept`,
        ],
        data: { to },
      }
    },
  })

export const accept = (io: Io) =>
  callCommand(io, {
    name: 'accept',
    description: 'Take over an app that is offered to you',
    args: {},
    plan(_, { app, chain, address }) {
      if (app.offeredTo !== address)
        throw new Failure(
          'not-offered',
          `the app is offered to ${app.offeredTo ?? 'nobody'}, not to ${address}`,
          'ask its maintainer for: understudy app offer',
        )
      return {
        call: acceptMaintainer(chain.contracts, app.id),
        lines: [`maintainer   ${address}, before ${app.maintainer}`],
        data: { maintainer: address, before: app.maintainer },
      }
    },
  })
