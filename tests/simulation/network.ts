import { distanceKm, kmPerMs, type Point } from '@understudy/protocol/place'
import type { Dice } from './dice.ts'
import type { Time } from './time.ts'

/** Something that stands somewhere and can be cut off. */
export interface Host {
  readonly name: string
  readonly place: Point
}

/** Who reaches whom, and how fast: never faster than light in fibre along the great circle. */
export interface Network {
  /** Milliseconds for one message. */
  oneWayMs(from: Host, to: Host): number
  /** Whether messages between the two are lost at this moment. */
  isCut(a: Host, b: Host): boolean
  isOffline(host: Host): boolean
  /** Cuts a host off from everybody, or from some. */
  cut(host: Host, fromMs: number, untilMs: number, others?: (other: Host) => boolean): void
}

interface Cut {
  readonly host: Host
  readonly from: number
  readonly until: number
  readonly others: ((other: Host) => boolean) | undefined
}

export function createNetwork(time: Time, dice: Dice): Network {
  const cuts: Cut[] = []
  const paths = new Map<string, number>()
  /** Fibre takes detours and routers take their time: the same for a pair of hosts for ever. */
  function basis(a: Host, b: Host): number {
    const pair = a.name < b.name ? `${a.name} ${b.name}` : `${b.name} ${a.name}`
    const known = paths.get(pair)
    if (known !== undefined) return known
    const chance = dice.of(pair)
    const basis =
      (distanceKm(a.place, b.place) / kmPerMs) * (1.05 + chance.next() * 0.6) + 0.05 + chance.next()
    paths.set(pair, basis)
    return basis
  }
  const jitter = new Map<string, Dice>()
  const open = (cut: Cut) => time.now() >= cut.from && time.now() < cut.until
  return {
    oneWayMs(from, to) {
      const pair = `${from.name}>${to.name}`
      const chance = jitter.get(pair) ?? dice.of(pair)
      jitter.set(pair, chance)
      return basis(from, to) - 0.6 * Math.log(1 - chance.next() * 0.999)
    },
    isCut: (a, b) =>
      cuts.some(
        (cut) =>
          open(cut) &&
          ((cut.host === a && cut.others?.(b) !== false) || (cut.host === b && cut.others?.(a) !== false)),
      ),
    isOffline: (host) => cuts.some((cut) => open(cut) && cut.host === host && !cut.others),
    cut: (host, from, until, others) => void cuts.push({ host, from, until, others }),
  }
}
