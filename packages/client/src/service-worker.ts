/// <reference lib="webworker" />
import { parseEvent } from '@understudy/protocol/event'
import { openRelays } from '@understudy/relays/relays'
import { type DiscoveryMemory, type OpenApp, openApp } from './app.ts'
import { type AppConfig, parseConfig } from './config.ts'
import { contentType } from './content-type.ts'
import type { Discovery } from './discovery.ts'
import { verify } from './verify.ts'

declare const self: ServiceWorkerGlobalScope

/** Told to every page of the app with each file served, so that it can show where it came from. */
export interface ServedMessage {
  readonly type: 'understudy:served'
  readonly path: string
  readonly source: string
  readonly url: string
  readonly ms: number
}

const cacheName = 'understudy'
const configUrl = new URL('understudy.json', self.registration.scope).href
const discoveryUrl = new URL('.well-known/understudy/discovery', self.registration.scope).href
/** A new look at the relays after this long, ms. */
const freshForMs = 60_000

let opened: { readonly app: Promise<OpenApp>; readonly at: number } | undefined

self.addEventListener('install', (event) => {
  // The configuration is kept at install: when the master is gone it cannot be fetched any more.
  event.waitUntil(readConfig().then(() => self.skipWaiting()))
})

self.addEventListener('activate', (event) => {
  event.waitUntil(self.clients.claim())
})

self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  const scope = new URL(self.registration.scope)
  if (request.method !== 'GET' || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname))
    return
  event.respondWith(serve(request, decodeURIComponent(url.pathname.slice(scope.pathname.length - 1))))
})

async function serve(request: Request, path: string): Promise<Response> {
  const app = await open().catch((cause: unknown) => cause as Error)
  // Without a signed release nothing can be verified: leave it to the network.
  if (app instanceof Error) return fetch(request)
  const loaded = await app.load(path)
  if (!loaded) return fetch(request)
  if (!loaded.ok) {
    const tried = loaded.tried.map(({ source, reason }) => `${source.name}: ${reason}`).join('\n')
    return new Response(`No source has a genuine copy of ${path}.\n${tried}\n`, {
      status: 504,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    })
  }
  await tell({
    type: 'understudy:served',
    path,
    source: loaded.source.name,
    url: loaded.source.url,
    ms: loaded.ms,
  })
  const headers = {
    'content-type': contentType(app.resolve(path) ?? path),
    'x-content-type-options': 'nosniff',
  }
  return new Response(loaded.bytes, { headers })
}

async function tell(message: ServedMessage): Promise<void> {
  for (const client of await self.clients.matchAll({ type: 'window' })) client.postMessage(message)
}

function open(): Promise<OpenApp> {
  if (!opened || performance.now() - opened.at > freshForMs) {
    const before = opened
    const app = reopen().catch((cause: unknown) => {
      // An older look is better than none.
      opened = before
      if (before) return before.app
      throw cause
    })
    opened = { app, at: performance.now() }
  }
  return opened.app
}

async function reopen(): Promise<OpenApp> {
  const config = await readConfig()
  const relays = openRelays(config.relays, { verify })
  try {
    const master = self.registration.scope.replace(/\/$/, '')
    const app = await openApp({ config, master, relays, memory })
    if (!app.ok) throw new Error(app.reason)
    return app.value
  } finally {
    relays.close()
  }
}

async function readConfig(): Promise<AppConfig> {
  const cache = await caches.open(cacheName)
  const held = await cache.match(configUrl)
  const response = held ?? (await fetch(configUrl, { cache: 'no-cache' }))
  if (!response.ok) throw new Error(`understudy.json: status ${response.status}`)
  const config = parseConfig(await response.clone().json())
  if (!config.ok) throw new Error(config.reason)
  if (!held) await cache.put(configUrl, response)
  return config.value
}

const memory: DiscoveryMemory = {
  async load() {
    const held = await (await caches.open(cacheName)).match(discoveryUrl)
    if (!held) return undefined
    const { release, mirrors } = (await held.json()) as { release: unknown; mirrors: unknown[] }
    const read = parseEvent(release)
    if (!read.ok) return undefined
    const events = mirrors.flatMap((mirror) => {
      const event = parseEvent(mirror)
      return event.ok ? [event.value] : []
    })
    return { release: read.value, mirrors: events }
  },
  async save(discovery: Discovery) {
    await (await caches.open(cacheName)).put(discoveryUrl, Response.json(discovery))
  },
}
