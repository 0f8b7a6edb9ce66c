import type { ServedMessage } from './service-worker.ts'

declare global {
  interface WindowEventMap {
    'understudy:served': CustomEvent<ServedMessage>
  }
}

/** Registers the service worker beside this script and hands what it says to the page as `understudy:served` events. */
async function start(): Promise<void> {
  if (!('serviceWorker' in navigator)) {
    console.warn('understudy: no service worker here, so this page cannot outlive its server')
    return
  }
  navigator.serviceWorker.addEventListener('message', (event: MessageEvent<ServedMessage>) => {
    if (event.data?.type !== 'understudy:served') return
    document.documentElement.dataset.understudySource = event.data.source
    dispatchEvent(new CustomEvent('understudy:served', { detail: event.data }))
  })
  await navigator.serviceWorker.register(new URL('understudy-sw.js', import.meta.url), { scope: './' })
}

start().catch((cause: unknown) => console.warn('understudy: the service worker did not start', cause))
