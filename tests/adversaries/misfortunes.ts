import { blockMs } from '../simulation/chain.ts'
import { closingBlocks, epochLength, type World } from '../simulation/world.ts'
import type { Adversary } from './adversary.ts'
import { mapped } from './mirrors.ts'

// Nobody lies here: machines and networks fail, as they do.

const somewhen = (world: World, name: string, blocks = epochLength + 12) =>
  world.atBurn(world.beginOf(0)) + world.dice.of(name).next() * blocks * blockMs

/** Attesters crash before any statement of their program, and come back. */
export const crashes: Adversary = {
  name: 'crashing attesters',
  lie: 'none: power cuts',
  enter(world) {
    for (const attester of world.attesters)
      for (let at = 0; at < 2; at++) {
        const name = `${attester.name} crash ${at}`
        world.time.at(somewhen(world, name), () =>
          attester.crashSoon(world.dice.of(`${name} in`).below(30), 300_000),
        )
      }
    return { liars: world.attesters }
  },
}

/** One attester is cut off from everybody for half an epoch. */
export const partition: Adversary = {
  name: 'attester cut off',
  lie: 'none: half an epoch without a network',
  enter(world) {
    const attester = world.dice.of('cut off').pick(world.attesters)
    const from = somewhen(world, 'cut')
    world.network.cut(attester, from, from + (epochLength / 2) * blockMs)
    return { liars: [attester] }
  },
}

/** One attester ends once its first epoch is settled, and does not come back. */
export const absence: Adversary = {
  name: 'attester away',
  lie: 'none: a machine is gone after its first epoch',
  setting: { ...mapped, epochs: 3 },
  enter(world) {
    const attester = world.dice.of('away').pick(world.attesters)
    world.time.at(world.atBurn(world.beginOf(1) + closingBlocks), () => attester.crash())
    return { liars: [attester] }
  },
}

/** One attester's disk is lost. */
export const amnesia: Adversary = {
  name: 'attester without memory',
  lie: 'none: a disk is lost',
  enter(world) {
    const attester = world.dice.of('forgets').pick(world.attesters)
    world.time.at(somewhen(world, 'forgets when'), () => {
      attester.crash()
      attester.loseMemory()
      world.time.after(600_000, () => attester.start())
    })
    return { liars: [attester] }
  },
}

/** Relays go down, and some forget everything. */
export const relayOutages: Adversary = {
  name: 'relay outages',
  lie: 'none: relays restart, one of them empty',
  enter(world) {
    for (const [at, relay] of world.relaySet.all.entries())
      for (let k = 0; k < 3; k++)
        world.time.at(somewhen(world, `${relay.name} ${k}`), () =>
          relay.restart({
            downMs: world.dice.of(`${relay.name} down ${k}`).below(3_600_000),
            forgets: at === 0,
          }),
        )
    return { liars: world.attesters }
  },
}

export const misfortunes: readonly Adversary[] = [crashes, partition, absence, amnesia, relayOutages]
