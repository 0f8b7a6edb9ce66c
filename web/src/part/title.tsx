import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'

/** The page's heading, and the title of its window. */
export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = text === 'Understudy' ? text : `${text} · Understudy`
  }, [text])
  return <h1>{children ?? text}</h1>
}
