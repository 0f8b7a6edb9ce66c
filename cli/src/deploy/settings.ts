import { type EnvField, envFields } from '@understudy/host/config'
import { nodeEnv } from '@understudy/node/config'

/** What a master repository says of itself to those who mirror it: `understudy.json`, which apps and nodes read alike. */
export interface Settings {
  /** `30617:<pubkey>:<d>` */
  readonly coordinate: string
  /** Nostr key that signs releases, hex. */
  readonly releaseKey: string
  readonly relays: readonly string[]
  readonly stacksUrl: string
  /** Who deployed the contracts. */
  readonly deployer: string
  /** Where the master repository is on the web, for the buttons. */
  readonly repository?: string
  /** API that draws the badges. */
  readonly api?: string
}

/** A variable of a node, and what this app's master repository already knows of it. */
export interface NodeVariable extends EnvField {
  /** `network`: the same for every mirror of the app. `image`: set where the program is packed. `own`: the operator's. */
  readonly source: 'network' | 'image' | 'own'
  /** Empty where the operator fills it in, or may leave it. */
  readonly value: string
}

/** Set by the container or the service, and no business of an operator who uses one. */
export const imageValues: Readonly<Record<string, string>> = {
  DATA_DIR: '/data',
  PORT: '8080',
  HOST: '0.0.0.0',
}

/** For the local network alone. */
export const localOnly: ReadonlySet<string> = new Set(['PLACES_FILE'])

/** Every variable of a node. Required ones that are the operator's own come first. */
export function nodeVariables(settings: Settings): NodeVariable[] {
  const network: Readonly<Record<string, string>> = {
    APP: settings.coordinate,
    RELAYS: settings.relays.join(','),
    STACKS_API_URL: settings.stacksUrl,
    DEPLOYER: settings.deployer,
  }
  const rank = ({ source, required }: NodeVariable) => (source === 'network' ? 1 : required ? 0 : 2)
  return envFields(nodeEnv)
    .map((field): NodeVariable => {
      const { name } = field
      const source = network[name] !== undefined ? 'network' : name in imageValues ? 'image' : 'own'
      return { ...field, source, value: network[name] ?? '' }
    })
    .sort((a, b) => rank(a) - rank(b))
}
