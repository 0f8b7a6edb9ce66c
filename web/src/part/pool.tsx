import type { AppView } from '@understudy/protocol/api'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { plural } from '../time.ts'
import { lasts, rulesInWords } from '../words.ts'
import { Money } from './money.tsx'

/** What the pool holds, how long it lasts, and by which rules it pays. */
export function Pool({ app }: { app: AppView }) {
  const { network } = useTheatre()
  const { pool, rules } = app
  const empty = BigInt(pool.free) === 0n
  return (
    <section aria-labelledby="pool">
      <h2 id="pool">Pool</h2>
      {empty && (
        <p class="note warn">
          The pool is empty: mirrors are not paid until somebody funds it.{' '}
          <a href={hrefOf({ page: 'fund', app: app.app })}>Fund it</a>
        </p>
      )}
      <dl class="figures">
        <div>
          <dt>Free</dt>
          <dd>
            <Money amount={pool.free} />
          </dd>
        </div>
        <div>
          <dt>Deposited by {plural(pool.funders, 'funder')}</dt>
          <dd>
            <Money amount={pool.deposited} />
          </dd>
        </div>
        <div>
          <dt>Paid out</dt>
          <dd>
            <Money amount={pool.paid} />
          </dd>
        </div>
        <div>
          <dt>Lasts</dt>
          <dd>{lasts(app, network.state === 'ready' ? network.value.chainId : 0)}</dd>
        </div>
      </dl>
      <h3>
        The rules, version {rules.version}
        {rules.until !== null && `, until epoch ${rules.until}`}
      </h3>
      <ul class="sentences">
        {rulesInWords(app).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </section>
  )
}
