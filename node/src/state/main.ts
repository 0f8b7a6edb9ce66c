import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { commonEnv, list, readConfig } from '@understudy/host/config'
import { createLog } from '@understudy/host/log'
import { vantageOf } from '@understudy/host/places'
import { onShutdown } from '@understudy/host/shutdown'
import { appId } from '@understudy/protocol/app'
import { readWhole } from '@understudy/relays/comparison'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { z } from 'zod'
import { appVariable } from '../config.ts'
import { keptOf } from '../everywhere.ts'
import { createRelay } from '../relay/relay.ts'
import { appScope } from '../relay/scope.ts'
import { announcedSiblings, createSiblings, guardedConnect } from '../relay/siblings.ts'
import { connectPlainly } from '../relay/sync.ts'
import { startVerification } from '../relay/verification.ts'
import { startStore } from '../relay/writing.ts'
import { type AppRules, chainRules } from '../rules.ts'

// A peer that keeps an app's state and nothing else: it listens nowhere, so it runs behind NAT; it dials the app's nodes and converges
// with them. It serves no pages, has no place and earns nothing (design: Storage).

/** Pause between two looks at the chain, ms. */
const rulesMs = 15_000

const { STACKS_API_URL, DEPLOYER, RELAYS, DATA_DIR, PLACES_FILE, LOG_LEVEL } = commonEnv
const stateEnv = z.object({
  APP: appVariable,
  STACKS_API_URL,
  DEPLOYER,
  RELAYS,
  SYNC_WITH: list
    .pipe(z.array(z.url({ protocol: /^wss?$/ })))
    .default([])
    .describe('Relays to converge with besides those that the nodes announce, comma-separated'),
  DATA_DIR,
  PLACES_FILE,
  LOG_LEVEL,
})
const config = readConfig(stateEnv, process.env)
const log = createLog('state', config.LOG_LEVEL)
const dataDir = resolve(config.DATA_DIR)
mkdirSync(dataDir, { recursive: true })
const { APP: coordinate } = config
const app = appId(coordinate)
const vantage = await vantageOf({ placesFile: config.PLACES_FILE, stacksUrl: config.STACKS_API_URL })
const source = chainRules(
  createStacksClient({ url: config.STACKS_API_URL }),
  contractsOf(config.DEPLOYER),
  coordinate,
)
const random = Math.random
let rules: AppRules | undefined

const store = startStore(join(dataDir, 'relay.sqlite'))
const verification = startVerification(availableParallelism())
const relay = createRelay({
  store,
  verify: verification.verify,
  admit: appScope(coordinate, () => rules?.members ?? {}),
  now: Date.now,
  log,
})
const relays = openRelays(config.RELAYS, {
  verify: await loadVerify(),
  ...readWhole(log),
})
const dialled = guardedConnect(vantage)
const siblings = createSiblings({
  relay,
  async find() {
    const mirrors = rules?.members.mirrors
    return [
      ...config.SYNC_WITH,
      // It is none of them, so that none is itself.
      ...(mirrors ? await announcedSiblings({ relay, app, self: '', mirrors }) : []),
    ]
  },
  // Those that the operator names may be anywhere.
  connect: (url) => (config.SYNC_WITH.includes(url) ? connectPlainly(url) : dialled(url)),
  random,
  log,
})

let rulesTimer: ReturnType<typeof setTimeout> | undefined
let heard: { close(): void } | undefined
let stopped = false

/** Nothing is taken before it is known who may write. */
async function followRules(): Promise<void> {
  try {
    const read = await source.read()
    if (!read) log.warn({ app }, 'nobody has registered the app on the chain')
    rules = read ?? rules
  } catch (error) {
    log.warn({ err: error }, 'the chain cannot be read')
  }
  if (stopped) return
  if (rules && !heard) {
    heard = relays.subscribe(keptOf(coordinate), { onEvent: (event) => void relay.publish(event) })
    siblings.start()
    log.info({ app, coordinate }, 'ready')
  }
  rulesTimer = setTimeout(() => void followRules(), rulesMs * (0.75 + random() / 2))
}
void followRules()

onShutdown(log, [
  [
    'rules',
    () => {
      stopped = true
      clearTimeout(rulesTimer)
    },
  ],
  ['heard', () => heard?.close()],
  ['siblings', () => siblings.stop()],
  ['relay', () => relay.close()],
  ['relays', () => relays.close()],
  ['verification', () => verification.close()],
  ['store', () => store.close()],
])
