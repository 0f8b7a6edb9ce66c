/** Said wherever money is asked for. */
export function Unaudited() {
  return (
    <p class="note warn unaudited">
      <strong>Unaudited software.</strong> Nobody independent has checked these contracts yet. Send only what
      you can afford to lose.
    </p>
  )
}
