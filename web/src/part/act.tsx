import type { Parsed } from '@understudy/protocol/event'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Field } from './field.tsx'

/** A thing that can be done at once. */
export function Act({ label, onAct }: { label: string; onAct: () => void }) {
  return (
    <button type="button" onClick={onAct}>
      {label}
    </button>
  )
}

/** A thing that can be done once something was typed. `name` is unique on the page. */
export function ActWith<T>(props: {
  name: string
  label: string
  field: string
  unit?: string
  hint?: string
  read: (text: string) => Parsed<T>
  onAct: (value: T) => void
  /** What stands below the field. */
  below?: (value: T | undefined) => ComponentChildren
}) {
  const { name, read } = props
  const [text, setText] = useState('')
  const [insist, setInsist] = useState(false)
  const value = read(text)
  function onSubmit(event: Event): void {
    event.preventDefault()
    setInsist(true)
    if (value.ok) props.onAct(value.value)
    else document.getElementById(name)?.focus()
  }
  return (
    <details class="act">
      <summary>{props.label}</summary>
      <form onSubmit={onSubmit} noValidate>
        <Field
          name={name}
          label={props.field}
          unit={props.unit}
          numeric={props.unit !== undefined}
          value={text}
          onInput={setText}
          problem={value.ok ? undefined : value.reason}
          insist={insist}
          hint={props.hint}
        />
        {props.below?.(value.ok ? value.value : undefined)}
        <p class="actions">
          <button type="submit" class="primary">
            Review it
          </button>
        </p>
      </form>
    </details>
  )
}
