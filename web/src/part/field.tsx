import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'

interface FieldProps {
  readonly name: string
  readonly label: string
  readonly value: string
  readonly onInput: (value: string) => void
  readonly hint?: ComponentChildren
  /** What is wrong with the value; shown once the field was left or the form was sent. */
  readonly problem: string | undefined
  readonly insist: boolean
  readonly unit?: string
  readonly lines?: number
  readonly numeric?: boolean
  readonly placeholder?: string
}

/** A labelled input with its hint and its problem beside it. */
export function Field(props: FieldProps) {
  const { name, label, value, hint, unit, lines, numeric, placeholder } = props
  const [left, setLeft] = useState(false)
  const problem = left || props.insist ? props.problem : undefined
  const described = [hint && `${name}-hint`, problem && `${name}-problem`].filter(Boolean).join(' ')
  const input = {
    id: name,
    name,
    value,
    placeholder,
    autocomplete: 'off',
    spellcheck: false,
    'aria-invalid': problem ? true : undefined,
    'aria-describedby': described || undefined,
    onInput: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
      props.onInput(event.currentTarget.value),
    onBlur: () => setLeft(true),
  } as const
  return (
    <div class={`field${problem ? ' wrong' : ''}`}>
      <label for={name}>{label}</label>
      <div class="input">
        {lines ? (
          <textarea {...input} rows={lines} />
        ) : (
          <input {...input} inputMode={numeric ? 'decimal' : undefined} />
        )}
        {unit && <span class="unit">{unit}</span>}
      </div>
      {hint && (
        <p class="hint" id={`${name}-hint`}>
          {hint}
        </p>
      )}
      {problem && (
        <p class="problem" id={`${name}-problem`}>
          {problem}
        </p>
      )}
    </div>
  )
}
