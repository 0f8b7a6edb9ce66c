import { useState } from 'preact/hooks'

/** A form's fields, kept for as long as the tab lives, so that a reload loses nothing. */
export function useDraft<T extends object>(
  name: string,
  initial: T,
): [T, (change: Partial<T>) => void, () => void] {
  const key = `understudy.draft.${name}`
  const [draft, setDraft] = useState<T>(() => ({ ...initial, ...stored(key, initial) }))
  return [
    draft,
    (change) =>
      setDraft((before) => {
        const after = { ...before, ...change }
        try {
          sessionStorage.setItem(key, JSON.stringify(after))
        } catch {
          // Without a store, the draft lives as long as the page.
        }
        return after
      }),
    () => {
      sessionStorage.removeItem(key)
      setDraft(initial)
    },
  ]
}

/** Only the fields that the form has, and of their types. */
function stored<T extends object>(key: string, initial: T): Partial<T> {
  try {
    const read = JSON.parse(sessionStorage.getItem(key) ?? '{}') as Record<string, unknown>
    return Object.fromEntries(
      Object.entries(initial).flatMap(([name, value]) =>
        typeof read[name] === typeof value ? [[name, read[name]]] : [],
      ),
    ) as Partial<T>
  } catch {
    return {}
  }
}
