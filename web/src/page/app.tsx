import type { AppView } from '@understudy/protocol/api'
import type { Parsed } from '@understudy/protocol/event'
import { shortened, webLink } from '../link.ts'
import { Badges } from '../part/badges.tsx'
import { Caution } from '../part/caution.tsx'
import { Copy } from '../part/copy.tsx'
import { Epochs } from '../part/epochs.tsx'
import { Loading } from '../part/loading.tsx'
import { Mirrors } from '../part/mirrors.tsx'
import { AssetContext } from '../part/money.tsx'
import { Pool } from '../part/pool.tsx'
import { Title } from '../part/title.tsx'
import { Stale, Trouble } from '../part/trouble.tsx'
import { UnreadApp } from '../part/unread.tsx'
import { usePolled } from '../polled.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { plural, relative } from '../time.ts'

export function AppPage({ app: id }: { app: string }) {
  const { registry } = useTheatre()
  const app = usePolled(`app ${id}`, (): Promise<Parsed<AppView>> => registry.app(id))
  const mirrors = usePolled(`mirrors ${id}`, () => registry.mirrors(id))
  const epochs = usePolled(`epochs ${id}`, () => registry.epochs(id))

  if (app.state === 'loading')
    return (
      <>
        <Title text="App" />
        <Loading what="the app" lines={6} />
      </>
    )
  if (app.state === 'failed')
    return (
      <>
        <Title text="App" />
        <UnreadApp reason={app.reason} />
      </>
    )

  const { value } = app
  const stale = [app, mirrors, epochs].find((read) => read.state === 'ready' && read.trouble)
  return (
    <AssetContext.Provider value={value.asset}>
      <p class="crumb">
        <a href={hrefOf({ page: 'overview' })}>Apps</a>
      </p>
      <Title text={value.name} />
      {value.description && <p class="lede">{value.description}</p>}
      {stale?.state === 'ready' && <Stale {...stale} />}
      <Caution app={value} />
      <p class="actions">
        <a class="button primary" href={hrefOf({ page: 'fund', app: id })}>
          Fund the pool
        </a>
        <a class="button" href={hrefOf({ page: 'register-mirror', app: id })}>
          Register a mirror
        </a>
        <a class="button" href={hrefOf({ page: 'account', app: id })}>
          My deposit and mirrors
        </a>
      </p>
      <Facts app={value} />

      <section aria-labelledby="mirrors">
        <h2 id="mirrors">Mirrors</h2>
        {mirrors.state === 'loading' && <Loading what="the mirrors" />}
        {mirrors.state === 'failed' && (
          <Trouble what="The mirrors could not be read" reason={mirrors.reason} />
        )}
        {mirrors.state === 'ready' && <Mirrors app={value} mirrors={mirrors.value} />}
      </section>

      <Pool app={value} />

      <section aria-labelledby="epochs">
        <h2 id="epochs">Epochs</h2>
        {epochs.state === 'loading' && <Loading what="the epochs" />}
        {epochs.state === 'failed' && <Trouble what="The epochs could not be read" reason={epochs.reason} />}
        {epochs.state === 'ready' && (
          <Epochs
            app={value}
            epochs={epochs.value}
            names={new Map(mirrors.state === 'ready' ? mirrors.value.map((m) => [m.mirror, m.name]) : [])}
          />
        )}
      </section>

      <section aria-labelledby="attesters">
        <h2 id="attesters">
          Attesters: {value.rules.threshold} of {value.rules.attesters.length} must agree
        </h2>
        <ul class="keys">
          {value.rules.attesters.map((key) => (
            <li key={key}>
              <code title={key}>{shortened(key, 10)}</code>
              <Copy text={key} label={`attester key ${shortened(key, 4)}`} />
            </li>
          ))}
        </ul>
      </section>

      <Badges app={value} />
    </AssetContext.Provider>
  )
}

function Facts({ app }: { app: AppView }) {
  return (
    <dl class="facts wide">
      <div>
        <dt>Open the app</dt>
        <dd>
          {app.web.length === 0 && 'no address announced'}
          {app.web.map((url) => (
            <Outside key={url} url={url} />
          ))}
        </dd>
      </div>
      <div>
        <dt>Release</dt>
        <dd>
          {app.release ? (
            <>
              number {app.release.seq},{' '}
              <code title={app.release.commit}>{app.release.commit.slice(0, 10)}</code>,{' '}
              {app.release.files > 0 && `${plural(app.release.files, 'file')}, `}
              {relative(app.release.createdAt, Date.now())}
            </>
          ) : (
            'none yet'
          )}
        </dd>
      </div>
      <div>
        <dt>Repository</dt>
        <dd>
          {app.clone.map((url) => (
            <Outside key={url} url={url} />
          ))}
          <code class="long">{app.coordinate}</code>
        </dd>
      </div>
      <div>
        <dt>Maintainer</dt>
        <dd>
          <code title={app.maintainer}>{shortened(app.maintainer)}</code>
        </dd>
      </div>
    </dl>
  )
}

/** A URL that the maintainer wrote: a link only where it is one. */
function Outside({ url }: { url: string }) {
  const href = webLink(url)
  return href ? (
    <a class="long" href={href} rel="noopener noreferrer nofollow">
      {url}
    </a>
  ) : (
    <code class="long">{url}</code>
  )
}
