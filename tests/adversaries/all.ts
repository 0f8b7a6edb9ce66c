import type { Adversary } from './adversary.ts'
import { lyingAttesters } from './attesters.ts'
import { lyingMirrors } from './mirrors.ts'
import { misfortunes } from './misfortunes.ts'
import { lyingRelays } from './relays.ts'

/** Everybody that the system is tried against. */
export const adversaries: readonly Adversary[] = [
  ...lyingMirrors,
  ...lyingAttesters,
  ...lyingRelays,
  ...misfortunes,
]
