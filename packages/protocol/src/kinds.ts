/** Event kinds, by name. design: Events. */
export const kinds = {
  /** NIP-34 repository announcement, by the maintainer. */
  repository: 30617,
  /** NIP-34 repository state: its refs. */
  repositoryState: 30618,
  /** NIP-5A named site manifest: the newest release. */
  release: 35128,
  /** NIP-5A snapshot: one release for ever. Its event id is the release id. */
  releaseSnapshot: 5128,
  mirror: 34617,
  heartbeat: 34618,
  challenge: 24617,
  answer: 24618,
  seen: 4615,
  commitment: 4616,
  attestation: 4617,
  proposal: 4618,
  coSignature: 4619,
  attester: 14617,
  /** NIP-65 relay list. */
  relayList: 10002,
} as const

export type Kind = (typeof kinds)[keyof typeof kinds]
