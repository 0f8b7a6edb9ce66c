import { ClarityType, type ClarityValue } from '@stacks/transactions'

/** A value as Clarity source writes it, which is how the API shows it. */
export function repr(value: ClarityValue): string {
  switch (value.type) {
    case ClarityType.BoolTrue:
    case ClarityType.BoolFalse:
    case ClarityType.OptionalNone:
      return value.type
    case ClarityType.Int:
      return String(value.value)
    case ClarityType.UInt:
      return `u${value.value}`
    case ClarityType.Buffer:
      return `0x${value.value}`
    case ClarityType.StringASCII:
      return quoted(value.value)
    case ClarityType.StringUTF8:
      return `u${quoted(value.value)}`
    case ClarityType.PrincipalStandard:
    case ClarityType.PrincipalContract:
      return `'${value.value}`
    case ClarityType.OptionalSome:
    case ClarityType.ResponseOk:
    case ClarityType.ResponseErr:
      return `(${value.type} ${repr(value.value)})`
    case ClarityType.List:
      return value.value.length === 0 ? '(list)' : `(list ${value.value.map(repr).join(' ')})`
    case ClarityType.Tuple:
      return `(tuple ${Object.keys(value.value)
        .sort()
        .map((key) => `(${key} ${repr(value.value[key]!)})`)
        .join(' ')})`
  }
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
