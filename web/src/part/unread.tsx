import { hrefOf } from '../route.ts'
import { Trouble } from './trouble.tsx'

/** An app that the registry does not know, or cannot tell of. */
export function UnreadApp({ reason }: { reason: string }) {
  return reason === 'not found' ? (
    <p class="note">
      The registry knows no app with this id. If it was registered just now, it appears here in a moment.{' '}
      <a href={hrefOf({ page: 'overview' })}>All apps</a>
    </p>
  ) : (
    <Trouble what="The app could not be read" reason={reason} />
  )
}
