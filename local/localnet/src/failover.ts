import { type OpenApp, openApp } from '@understudy/client/app'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import type { Network } from './network.ts'

/** A page that has the app open, as the service worker has it. */
export interface Visitor {
  readonly app: OpenApp
  close(): void
}

export interface Failover {
  /** From asking for the entry page to its verified bytes, the first time after the master's death. */
  readonly ms: number
  readonly source: string
  readonly files: number
}

/** Opens the app while its master lives. */
export async function openVisitor(network: Network): Promise<Visitor> {
  const { config, entry } = network.app
  const relays = openRelays(config.relays, { verify: await loadVerify() })
  const opened = await openApp({ config, master: network.urls.master, relays })
  if (!opened.ok) {
    relays.close()
    throw new Error(`a visitor cannot open the app: ${opened.reason}`)
  }
  const app = opened.value
  const first = await app.load(entry)
  if (!first?.ok) {
    relays.close()
    throw new Error(`a visitor cannot load ${entry} while the master lives`)
  }
  return { app, close: () => relays.close() }
}

/** Most files that are loaded again to show that the app goes on. */
const mostFiles = 40

/** Stops the master's server and shows that the open app goes on with verified bytes from a mirror. Throws when it does not. */
export async function failOver(network: Network, visitor: Visitor): Promise<Failover> {
  const { app, urls, stages } = network
  await network.processes.get('master').stop()
  const started = performance.now()
  const page = await visitor.app.load(app.entry)
  const ms = Math.round(performance.now() - started)
  if (!page?.ok) {
    const tried = page?.tried.map(({ source, reason }) => `${source.name}: ${reason}`).join(', ')
    throw new Error(
      `the app died with its master: no source has a genuine ${app.entry} (${tried ?? 'no such file'})`,
    )
  }
  if (page.source.url === urls.master) throw new Error('the master answered after it was stopped')
  let files = 0
  for (const path of [...visitor.app.files.keys()].slice(0, mostFiles)) {
    const loaded = await visitor.app.load(path)
    if (!loaded?.ok) throw new Error(`the app died with its master: no source has a genuine ${path}`)
    files++
  }
  const failover = { ms, source: page.source.name, files }
  stages.tell({
    stage: 'failed over',
    text: `the master is dead; ${page.source.name} answered with verified bytes after ${ms} ms, ${files} files in all`,
    data: failover,
  })
  return failover
}
