import {
  type AccountView,
  type AppView,
  accountViewSchema,
  appsSchema,
  appViewSchema,
  type EpochDetail,
  type EpochView,
  epochDetailSchema,
  epochsSchema,
  type LeafProof,
  leafProofSchema,
  type MirrorView,
  mirrorsSchema,
  type NetworkView,
  networkSchema,
} from '@understudy/protocol/api'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import type { Config } from './config.ts'
import { fetched } from './fetched.ts'

/** The badges of an app; files of `/badge/:app/`. */
export const badgeNames = ['backup-servers', 'code-integrity', 'uptime', 'regions', 'reward-pool'] as const

/** The registry's API. It is believed in nothing that moves money but what the review step shows. */
export interface Registry {
  readonly url: string
  network(): Promise<Parsed<NetworkView>>
  apps(): Promise<Parsed<AppView[]>>
  app(app: string): Promise<Parsed<AppView>>
  mirrors(app: string): Promise<Parsed<MirrorView[]>>
  account(app: string, address: string): Promise<Parsed<AccountView>>
  epochs(app: string): Promise<Parsed<EpochView[]>>
  epoch(app: string, epoch: number): Promise<Parsed<EpochDetail>>
  /** What `claim` takes for one payment. */
  proof(app: string, epoch: number, index: number): Promise<Parsed<LeafProof>>
}

export function openRegistry({ apiUrl, deployer }: Config): Registry {
  return {
    url: apiUrl,
    async network() {
      const read = await fetched(`${apiUrl}/api/network`, networkSchema)
      if (!read.ok || deployer === undefined) return read
      const foreign = Object.values(read.value.contracts).some((id) => !id.startsWith(`${deployer}.`))
      return foreign ? refused('the server names contracts that are not those of this site') : read
    },
    async apps() {
      const read = await fetched(`${apiUrl}/api/apps`, appsSchema)
      return read.ok ? parsed(read.value.apps) : read
    },
    app: (app) => fetched(`${apiUrl}/api/apps/${app}`, appViewSchema),
    async mirrors(app) {
      const read = await fetched(`${apiUrl}/api/apps/${app}/mirrors`, mirrorsSchema)
      return read.ok ? parsed(read.value.mirrors) : read
    },
    async epochs(app) {
      const read = await fetched(`${apiUrl}/api/apps/${app}/epochs`, epochsSchema)
      return read.ok ? parsed(read.value.epochs) : read
    },
    account: (app, address) => fetched(`${apiUrl}/api/apps/${app}/accounts/${address}`, accountViewSchema),
    epoch: (app, epoch) => fetched(`${apiUrl}/api/apps/${app}/epochs/${epoch}`, epochDetailSchema),
    proof: (app, epoch, index) =>
      fetched(`${apiUrl}/api/apps/${app}/epochs/${epoch}/leaves/${index}/proof`, leafProofSchema),
  }
}
