import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'

const states = { pending: 'Pending', confirmed: 'Confirmed', failed: 'Failed' }

/** The transactions that this browser sent, on every page until they are dismissed. */
export function SentStrip({ except }: { except: string | undefined }) {
  const { sent, forget } = useTheatre()
  const rows = sent.filter(({ txid }) => txid !== except)
  if (rows.length === 0) return null
  return (
    <section class="strip" aria-label="Your transactions">
      <ul>
        {rows.map(({ txid, title, fate }) => (
          <li key={txid}>
            <span class={`pill ${fate.state}`}>{states[fate.state]}</span>
            <a href={hrefOf({ page: 'transaction', txid })}>{title}</a>
            {fate.state !== 'pending' && (
              <button
                type="button"
                class="small"
                onClick={() => forget(txid)}
                aria-label={`Dismiss: ${title}`}
              >
                Dismiss
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
