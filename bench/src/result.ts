/** What a bench prints as its last line. The floor is what the bare parts reach, measured in the same run. */
export interface BenchResult {
  readonly bench: string
  readonly value: number
  readonly unit: string
  readonly floor: number
  /** Value over floor; where less is better, floor over value. */
  readonly ratio: number
  readonly goal: number
  readonly met: boolean
  readonly [extra: string]: unknown
}

/** Every bench by the name of its file, which exports `bench()`; and what it measures. */
export const benches = {
  serve:
    'static files of 1 kB, 100 kB and 5 MB per second, against bare node:http sending the same bytes from memory',
  switch:
    '1,000 release switches under load: failed answers, mixed pages, p99 against quiet (SWITCHES, VISITORS)',
  probe: 'verified cold HTTPS probes per CPU-second, against a bare node:https GET',
  relay: 'events verified and stored over WebSockets, against bare nostr-wasm verification',
  connections: 'memory and fan-out of a relay with 10,000 idle connections',
  sync: 'events that a cold sibling fetches and verifies, against bare nostr-wasm verification',
  badge: 'badge requests per second, against bare node:http sending the same bytes',
  chain: "signed transactions per second through devnet's RPC, against direct simnet calls",
  client: 'gzip bytes of the client core',
  contracts: "claims that fit in one block in ranges, against one by one, by all of a block's limits",
  score: 'properties of the score on random populations; most that splitting or hiding gains',
  place: 'honest and lying mirrors on a map: falsified, proven',
  adversaries: 'every adversary in the simulator: stolen, moved, lost, missed, wrongly convicted',
} as const

export type Bench = () => Promise<BenchResult>
