import type { AppView, MirrorView } from '@understudy/protocol/api'
import { shortened, webLink } from '../link.ts'
import { hrefOf } from '../route.ts'
import { relative } from '../time.ts'
import { claimInWords, mirrorStates, percent, placeOf, reasonInWords, whyUnpaid } from '../words.ts'
import { Money } from './money.tsx'
import { Pill } from './pill.tsx'

/** Who is up, where, and why they are paid or not. */
export function Mirrors({ app, mirrors }: { app: AppView; mirrors: readonly MirrorView[] }) {
  if (mirrors.length === 0)
    return (
      <div class="card empty">
        <p>Nobody mirrors this app yet: when its server dies, it is gone.</p>
        <p>
          <a href={hrefOf({ page: 'register-mirror', app: app.app })}>Register the first mirror</a>
        </p>
      </div>
    )
  return (
    <table class="stack">
      <thead>
        <tr>
          <th scope="col">Mirror</th>
          <th scope="col">State</th>
          <th scope="col">Place</th>
          <th scope="col">Probes</th>
          <th scope="col" class="number">
            Availability
          </th>
          <th scope="col" class="number">
            Bond
          </th>
          <th scope="col" class="number">
            Paid
          </th>
        </tr>
      </thead>
      <tbody>
        {mirrors.map((mirror) => (
          <Mirror key={mirror.mirror} mirror={mirror} floor={app.rules.floor} />
        ))}
      </tbody>
    </table>
  )
}

function Mirror({ mirror, floor }: { mirror: MirrorView; floor: number }) {
  const href = webLink(mirror.web)
  const unpaid = whyUnpaid(mirror, floor)
  const reasons = Object.entries(mirror.reasons).sort(([, a], [, b]) => b - a)
  const { passed, failed, inconclusive } = mirror.probes
  return (
    <tr>
      <th scope="row">
        {href ? (
          <a href={href} rel="noopener noreferrer nofollow">
            {mirror.name}
          </a>
        ) : (
          mirror.name
        )}
        <span class="sub">
          number {mirror.mirror}, of <code title={mirror.owner}>{shortened(mirror.owner, 4)}</code>
        </span>
      </th>
      <td data-label="State">
        <Pill kind={mirror.state} text={mirrorStates[mirror.state]} />
        {unpaid && <span class="sub">{unpaid}</span>}
        {reasons.slice(0, 3).map(([code, count]) => (
          <span key={code} class="sub">
            {count} × {reasonInWords(code)}
          </span>
        ))}
        <span class="sub">
          {mirror.lastSeen === null ? 'never heard of' : `heard of ${relative(mirror.lastSeen, Date.now())}`}
        </span>
      </td>
      <td data-label="Place" class="place">
        {mirror.geohash && <span class="keep">{placeOf(mirror.geohash)}</span>}
        <span class={mirror.geohash ? 'sub' : ''}>{claimInWords(mirror)}</span>
        <span class="sub">{mirror.network || 'network unknown'}</span>
      </td>
      <td data-label="Probes">
        {passed + failed + inconclusive === 0 ? (
          'none yet'
        ) : (
          <>
            {passed} passed
            <span class="sub">{failed} failed</span>
            <span class="sub keep">{inconclusive} inconclusive</span>
            {mirror.attestedEpoch !== null && <span class="sub">in epoch {mirror.attestedEpoch}</span>}
          </>
        )}
      </td>
      <td data-label="Availability" class="number">
        {mirror.availability === null ? '–' : percent(mirror.availability)}
      </td>
      <td data-label="Bond" class="number">
        <Money amount={mirror.bond} />
      </td>
      <td data-label="Paid" class="number">
        <Money amount={mirror.paid} />
      </td>
    </tr>
  )
}
