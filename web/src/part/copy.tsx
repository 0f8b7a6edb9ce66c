import { useState } from 'preact/hooks'

/** Puts `text` on the clipboard. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState('')
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
      setSaid('Copied')
    } catch {
      setSaid('Not allowed: select the text instead')
    }
  }
  return (
    <span class="copy">
      <button type="button" class="small" onClick={copy} aria-label={`Copy ${label}`}>
        Copy
      </button>
      <span role="status">{said}</span>
    </span>
  )
}
