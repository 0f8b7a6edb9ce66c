import { useState } from 'preact/hooks'
import type { Recomputation } from '../recompute.ts'
import type { Shown } from '../shown.ts'
import { useTheatre } from '../theatre.ts'

/** Has this browser compute an epoch's outcome again, without the registry, and hold what is shown against it. */
export function Recompute({ app, epoch, shown }: { app: string; epoch: number; shown: Shown | undefined }) {
  const { network } = useTheatre()
  const [busy, setBusy] = useState(false)
  const [found, setFound] = useState<Recomputation>()

  async function run(): Promise<void> {
    if (network.state !== 'ready') return
    setBusy(true)
    setFound(undefined)
    const verifier = await import('../recompute.ts').catch(() => undefined)
    setFound(
      verifier
        ? await verifier.recompute(network.value, app, epoch, shown)
        : { ok: false, differs: false, summary: 'A part of this page could not be loaded. Are you offline?' },
    )
    setBusy(false)
  }

  return (
    <div class="recompute">
      <p>
        <button type="button" class="small" disabled={busy} onClick={run}>
          Recompute it in this browser
        </button>{' '}
        From the relays and the chain; the registry is not asked.
      </p>
      <div role="status">
        {busy && <p>Reading the contracts' log and the attesters' reports, and checking every signature…</p>}
        {found && (
          <p class={`note ${found.ok ? 'good' : found.differs ? 'bad' : 'warn'}`}>
            <strong>{found.ok ? 'The same.' : found.differs ? 'Not the same.' : 'No verdict.'}</strong>{' '}
            {found.summary}
          </p>
        )}
      </div>
      {found?.ok && (
        <>
          {found.mirrors.map(({ mirror, why }) => (
            <details key={mirror}>
              <summary>Why mirror {mirror} earned what it did</summary>
              <ul class="sentences">
                {why.map((line) => (
                  <li key={line}>{line}</li>
                ))}
              </ul>
            </details>
          ))}
          <p>
            <button type="button" class="small" onClick={() => keep(`epoch-${epoch}.bundle`, found.bundle)}>
              Keep the evidence
            </button>{' '}
            (for <code>understudy verify epoch --bundle</code>)
          </p>
        </>
      )}
    </div>
  )
}

/** Has the browser save a text as a file. */
function keep(name: string, text: string): void {
  const href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  Object.assign(document.createElement('a'), { href, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(href), 60_000)
}
