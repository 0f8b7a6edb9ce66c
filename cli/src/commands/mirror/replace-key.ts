import { replaceNodeKey } from '@understudy/chain/calls'
import { callCommand, mirrorArgs, ownMirror } from '../../calling.ts'
import type { Io } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { nodeArgs, nodeKeyOf } from '../../node.ts'
import { staying } from './bond.ts'

export const mirrorReplaceKey = (io: Io) =>
  callCommand(io, {
    name: 'replace-key',
    description:
      'Name another node key for a mirror, when the old one is lost; best right after an epoch began',
    args: { ...mirrorArgs, ...nodeArgs },
    async plan(args, ground) {
      const mirror = staying(ownMirror(ground, args.mirror))
      const nodeKey = await nodeKeyOf(args, io)
      const holder = [...ground.app.mirrors.values()].find(
        (other) =>
          other.owner === ground.address && other.nodeKey === nodeKey && !other.withdrawn && !other.retired,
      )
      if (holder) throw new Failure('same-key', `mirror ${holder.id} has this node key already`)
      return {
        call: replaceNodeKey(ground.chain.contracts, { app: ground.app.id, mirror: mirror.id, nodeKey }),
        lines: [`mirror       ${mirror.id}`, `node key     ${nodeKey}, before ${mirror.nodeKey}`],
        data: { mirror: mirror.id, nodeKey, before: mirror.nodeKey },
      }
    },
  })
