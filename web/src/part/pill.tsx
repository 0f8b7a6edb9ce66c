/** A state in one or two words; the colour only repeats it. */
export function Pill({ kind, text }: { kind: string; text: string }) {
  return <span class={`pill ${kind}`}>{text}</span>
}
