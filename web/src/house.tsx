import { useEffect, useRef, useState } from 'preact/hooks'
import { AccountPage } from './page/account.tsx'
import { AppPage } from './page/app.tsx'
import { FundPage } from './page/fund.tsx'
import { OverviewPage } from './page/overview.tsx'
import { RegisterAppPage } from './page/register-app.tsx'
import { RegisterMirrorPage } from './page/register-mirror.tsx'
import { TransactionPage } from './page/transaction.tsx'
import { UnknownPage } from './page/unknown.tsx'
import { SentStrip } from './part/sent-strip.tsx'
import { usePolled } from './polled.ts'
import type { Registry } from './registry.ts'
import { hrefOf, parseRoute, type Route } from './route.ts'
import { TheatreContext, useSent, useWallet } from './theatre.ts'
import { blockNumber } from './words.ts'

/** The whole site: frame, route, and what every page stands on. */
export function House({ registry, storage }: { registry: Registry; storage: Storage }) {
  const network = usePolled('network', registry.network)
  const sent = useSent(storage, network.state === 'ready' ? network.value.stacksUrl : undefined)
  const wallet = useWallet(storage, network.state === 'ready' ? network.value.chainId : undefined)
  const route = useRoute()
  return (
    <TheatreContext.Provider value={{ registry, network, ...sent, ...wallet }}>
      <header class="bar">
        {/* A button: what follows `#` in the address is the route's. */}
        <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
          Skip to content
        </button>
        <a class="brand" href={hrefOf({ page: 'overview' })}>
          <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
            <circle cx="12" cy="16" r="9" class="lead" />
            <circle cx="20" cy="16" r="9" class="second" />
          </svg>
          Understudy
        </a>
        <nav aria-label="Site">
          <a href={hrefOf({ page: 'overview' })} {...current(route.page === 'overview')}>
            Apps
          </a>
          <a href={hrefOf({ page: 'register-app' })} {...current(route.page === 'register-app')}>
            Register an app
          </a>
        </nav>
      </header>
      <SentStrip except={route.page === 'transaction' ? route.txid : undefined} />
      <main id="main" tabIndex={-1}>
        <Page route={route} />
      </main>
      <footer class="foot">
        <p>
          {network.state === 'ready'
            ? `The chain is at burn ${blockNumber(network.value.burnHeight)}.`
            : network.state === 'failed'
              ? `The registry cannot be read: ${network.reason}.`
              : 'Reading the registry…'}
          {network.state === 'ready' &&
            network.value.chainId !== 1 &&
            ' This is a test chain: nothing here is worth money.'}
        </p>
        <p>
          Understudy is unaudited software. What this page shows comes from a registry that holds no key;
          everything that decides a payout is public and can be recomputed.
        </p>
      </footer>
    </TheatreContext.Provider>
  )
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'overview':
      return <OverviewPage />
    case 'register-app':
      return <RegisterAppPage />
    case 'app':
      return <AppPage key={route.app} app={route.app} />
    case 'register-mirror':
      return <RegisterMirrorPage key={route.app} app={route.app} />
    case 'fund':
      return <FundPage key={route.app} app={route.app} />
    case 'account':
      return <AccountPage key={`${route.app} ${route.address}`} app={route.app} address={route.address} />
    case 'transaction':
      return <TransactionPage key={route.txid} txid={route.txid} />
    case 'unknown':
      return <UnknownPage />
  }
}

/** The route in the address, and, when it changes, the reader's place: top of the page, focus in its content. */
function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  const first = useRef(true)
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  useEffect(() => {
    if (first.current) {
      first.current = false
      return
    }
    scrollTo(0, 0)
    document.getElementById('main')?.focus({ preventScroll: true })
  }, [route])
  return route
}

const current = (is: boolean) => (is ? ({ 'aria-current': 'page' } as const) : {})
