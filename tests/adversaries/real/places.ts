import type { City } from '@understudy/protocol/cities'
import { denver, hanoi, type RealMirror } from './mirrors.ts'

export const forgeHost = 'forge.understudy.test'
export const forgeAddress = '127.0.9.1'

/** Where everybody of a cast stands: a network of their own for each address. */
export interface Places {
  /** What `PLACES_FILE` holds. */
  readonly file: {
    readonly places: readonly (City & { readonly network: number; readonly addresses: readonly string[] })[]
    readonly hosts: Readonly<Record<string, string>>
  }
  addressOf(mirror: RealMirror): string
}

/** Attesters stand in the two cities in turn, … */
export const standOf = (attester: number): City => (attester % 2 === 0 ? denver : hanoi)
/** … and dial from these addresses. */
export const egressOf = (attester: number): string => `127.0.8.${attester + 1}`

export function placesOf(mirrors: readonly RealMirror[], attesters: number): Places {
  const addressOf = ({ name, beside }: RealMirror): string =>
    beside
      ? addressOf(mirrors.find((mirror) => mirror.name === beside)!)
      : `127.0.${10 + mirrors.findIndex((mirror) => mirror.name === name)}.1`
  return {
    addressOf,
    file: {
      places: [
        ...mirrors.flatMap((mirror, at) =>
          mirror.beside ? [] : [{ ...mirror.stands, network: 64_600 + at, addresses: [addressOf(mirror)] }],
        ),
        ...Array.from({ length: attesters }, (_, at) => ({
          ...{ ...standOf(at), network: 64_500 + at, addresses: [egressOf(at)] },
        })),
      ],
      hosts: Object.fromEntries([
        [forgeHost, forgeAddress],
        ...mirrors.flatMap((mirror) => (mirror.named ? [[mirror.named, addressOf(mirror)]] : [])),
      ]),
    },
  }
}
