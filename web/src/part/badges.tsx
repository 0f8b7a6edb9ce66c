import type { AppView } from '@understudy/protocol/api'
import { badgeNames } from '../registry.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { Copy } from './copy.tsx'

/** The badges of an app, and the Markdown that puts them into a README. */
export function Badges({ app }: { app: AppView }) {
  const { registry } = useTheatre()
  const site = new URL(hrefOf({ page: 'app', app: app.app }), location.href).href
  const badges = badgeNames.map((name) => {
    const label = name.replace('-', ' ')
    const src = `${registry.url}/badge/${app.app}/${name}.svg`
    return { name, label, src, markdown: `[![${label}](${src})](${site})` }
  })
  const all = badges.map(({ markdown }) => markdown).join('\n')
  return (
    <section aria-labelledby="badges">
      <h2 id="badges">Badges</h2>
      <ul class="badges">
        {badges.map(({ name, label, src, markdown }) => (
          <li key={name}>
            <img src={src} alt={`Badge: ${label}`} height={20} loading="lazy" />
            <Copy text={markdown} label={`Markdown of the badge ${label}`} />
          </li>
        ))}
      </ul>
      <details>
        <summary>Markdown of all badges</summary>
        <pre>
          <code>{all}</code>
        </pre>
        <Copy text={all} label="Markdown of all badges" />
      </details>
    </section>
  )
}
