/** Something could not be read; `reason` in words. */
export function Trouble({ what, reason }: { what: string; reason: string }) {
  return (
    <div class="note bad" role="alert">
      <p>
        <strong>{what}.</strong> {reason.charAt(0).toUpperCase() + reason.slice(1)}. This page keeps trying.
      </p>
    </div>
  )
}

/** The values on the page are old, and why. */
export function Stale({ trouble, readAt }: { trouble: string | undefined; readAt: number }) {
  if (!trouble) return null
  return (
    <p class="note warn" role="status">
      Not refreshed since {new Date(readAt).toLocaleTimeString()}: {trouble}. This page keeps trying.
    </p>
  )
}
