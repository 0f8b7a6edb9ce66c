import type { AppView } from '@understudy/protocol/api'
import { Loading } from '../part/loading.tsx'
import { AssetContext, Money } from '../part/money.tsx'
import { Pill } from '../part/pill.tsx'
import { Title } from '../part/title.tsx'
import { Stale, Trouble } from '../part/trouble.tsx'
import { usePolled } from '../polled.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { plural, relative } from '../time.ts'
import { heightInWords, lasts } from '../words.ts'

/** Where people meet Understudy: what it is, and every app that has one. */
export function OverviewPage() {
  const { registry } = useTheatre()
  const apps = usePolled('apps', registry.apps)
  return (
    <>
      <section class="hero">
        <Title text="Understudy">The show goes on when the server dies.</Title>
        <p class="lede">
          Understudy pays independent operators, out of a pool that anyone can fund, to mirror an app's signed
          release from different places, so that its visitors can go on using it when the main server is gone.
        </p>
        <p class="actions">
          <a class="button primary" href={hrefOf({ page: 'register-app' })}>
            Register an app
          </a>
        </p>
      </section>

      <section aria-labelledby="apps">
        <h2 id="apps">Apps</h2>
        {apps.state === 'loading' && <Loading what="the apps" lines={4} />}
        {apps.state === 'failed' && <Trouble what="The apps could not be read" reason={apps.reason} />}
        {apps.state === 'ready' && (
          <>
            <Stale {...apps} />
            {apps.value.length === 0 ? (
              <div class="card empty">
                <p>No app is registered here yet.</p>
                <p>
                  <a href={hrefOf({ page: 'register-app' })}>Register the first one</a>
                </p>
              </div>
            ) : (
              <ul class="cards">
                {apps.value.map((app) => (
                  <li key={app.app}>
                    <AppCard app={app} />
                  </li>
                ))}
              </ul>
            )}
          </>
        )}
      </section>

      <section aria-labelledby="how">
        <h2 id="how">How it works</h2>
        <ol class="acts">
          <li>
            <h3>The maintainer signs</h3>
            <p>Each release is signed: every byte that a mirror may serve is named by its hash.</p>
          </li>
          <li>
            <h3>Operators mirror</h3>
            <p>They fork the repository, run a node, and put a bond behind it.</p>
          </li>
          <li>
            <h3>Attesters check</h3>
            <p>They visit like anyone else, and say in public what they were given and how often.</p>
          </li>
          <li>
            <h3>The pool pays</h3>
            <p>
              A contract splits each epoch's budget over places, not over machines. Anybody can recompute it.
            </p>
          </li>
        </ol>
      </section>
    </>
  )
}

function AppCard({ app }: { app: AppView }) {
  const { network } = useTheatre()
  const up = app.mirrorsUp
  return (
    <article class="card app">
      <header>
        <h3>
          <a href={hrefOf({ page: 'app', app: app.app })}>{app.name}</a>
        </h3>
        <Pill
          // Before the first epoch is over nothing was attested, which is no fault.
          kind={up > 0 ? 'up' : app.mirrors > 0 && app.epoch ? 'down' : 'unknown'}
          text={app.mirrors === 0 ? 'No mirrors yet' : `${up} of ${plural(app.mirrors, 'mirror')} up`}
        />
      </header>
      {app.description && <p class="about">{app.description}</p>}
      <dl class="facts">
        <div>
          <dt>Release</dt>
          <dd>
            {app.release ? (
              <>
                <code title={app.release.commit}>{app.release.commit.slice(0, 7)}</code>,{' '}
                {relative(app.release.createdAt, Date.now())}
              </>
            ) : (
              'none yet'
            )}
          </dd>
        </div>
        <div>
          <dt>Epoch</dt>
          <dd>
            {app.epoch ??
              (network.state === 'ready'
                ? `begins ${heightInWords(app.schedule.start, network.value.burnHeight)}`
                : 'not begun')}
          </dd>
        </div>
        <div>
          <dt>Free in the pool</dt>
          <dd>
            <AssetContext.Provider value={app.asset}>
              <Money amount={app.pool.free} />
            </AssetContext.Provider>
          </dd>
        </div>
        <div>
          <dt>Lasts</dt>
          <dd>{lasts(app, network.state === 'ready' ? network.value.chainId : 0)}</dd>
        </div>
      </dl>
    </article>
  )
}
