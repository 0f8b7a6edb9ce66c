import type { NostrEvent } from '@understudy/protocol/event'
import type { RelayFaults } from '../simulation/relay.ts'
import type { World } from '../simulation/world.ts'
import type { Adversary } from './adversary.ts'

/** All relays but one do it. */
function most(world: World, faultsOf: (name: string) => RelayFaults) {
  const honest = world.dice.of('honest relay').below(world.relaySet.all.length)
  for (const [at, relay] of world.relaySet.all.entries())
    if (at !== honest) relay.faults = faultsOf(relay.name)
  return { liars: world.attesters }
}

/** A share of all events, the same ones whenever it is asked. */
const some = (share: number, relay: string) => (event: NostrEvent, reader: string) => {
  const text = `${event.id.slice(0, 8)}${relay}${reader}`
  let sum = 0
  for (let i = 0; i < text.length; i++) sum = (sum * 31 + text.charCodeAt(i)) % 1_000_003
  return sum / 1_000_003 < share
}

/** What one relay may do, by its name: in the simulator, and as a proxy before a real relay. */
export const loses = (name: string): RelayFaults => ({ loses: (event) => some(0.5, name)(event, '') })

export const delays = (below: (ms: number) => number, mostMs: number): RelayFaults => ({
  delayMs: () => below(mostMs),
})

export const duplicates: RelayFaults = { sends: (event) => [event, event, event] }

export const forges = (name: string): RelayFaults => {
  const forge = (event: NostrEvent): NostrEvent[] => [
    { ...event, content: event.content.replace(/"passed":\d+/, '"passed":0') || 'forged' },
    { ...event, sig: `${event.sig.slice(0, -2)}00` },
    { ...event, id: `${event.id.slice(0, -2)}00` },
  ]
  return { sends: (event, reader) => (some(0.7, name)(event, reader.name) ? forge(event) : [event]) }
}

export const hides = (name: string): RelayFaults => ({
  hides: (event, reader) => some(0.5, name)(event, reader.name),
})

export const losing: Adversary = {
  name: 'relays that lose events',
  lie: 'most relays say OK and forget half of what they get',
  enter: (world) => most(world, loses),
}

export const slow: Adversary = {
  name: 'relays that delay and reorder',
  lie: 'most relays sit on events for up to twenty minutes',
  enter(world) {
    const chance = world.dice.of('delays')
    return most(world, () => delays(chance.below, 1_200_000))
  },
}

export const duplicating: Adversary = {
  name: 'relays that duplicate',
  lie: 'most relays send everything three times',
  enter: (world) => most(world, () => duplicates),
}

export const forging: Adversary = {
  name: 'relays that forge',
  lie: 'most relays change what they pass on',
  enter: (world) => most(world, forges),
}

export const partial: Adversary = {
  name: 'relays that show some to some',
  lie: 'most relays hide half of the events from each reader',
  enter: (world) => most(world, hides),
}

export const lyingRelays: readonly Adversary[] = [losing, slow, duplicating, forging, partial]
