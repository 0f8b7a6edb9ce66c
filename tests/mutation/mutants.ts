import { brief, type Expression, headOf, parse } from './expression.ts'

/** One thing broken in one contract. */
export interface Mutant {
  /** `<contract> <function> <expression> → <replacement>`, and `#n` for the n-th of several alike. */
  readonly id: string
  readonly contract: string
  readonly function: string
  readonly kind: 'assert' | 'comparison' | 'arithmetic' | 'caller' | 'condition'
  readonly from: string
  readonly to: string
  /** Offsets of what is replaced in the source, the end exclusive. */
  readonly start: number
  readonly end: number
  readonly replacement: string
}

const comparisons: Readonly<Record<string, readonly string[]>> = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
}
const operators: Readonly<Record<string, string>> = {
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  mod: '/',
  'bit-and': 'bit-or',
  'bit-or': 'bit-and',
  'bit-xor': 'bit-or',
  'bit-shift-left': 'bit-shift-right',
}
const callers: Readonly<Record<string, string>> = {
  'tx-sender': 'contract-caller',
  'contract-caller': 'tx-sender',
}

/**
 * Everything that can be broken in a contract, one at a time: each `asserts!` holds, each comparison is off by one and turned around, each
 * operator is another, each caller is the other one, and each part of an `and` or `or`, and each plain condition of an `if`, is passed over.
 */
export function mutantsOf(contract: string, source: string): Mutant[] {
  const found: Omit<Mutant, 'id'>[] = []

  function visit(at: Expression, around: Expression, name: string): void {
    const change = (kind: Mutant['kind'], whole: Expression, part: Expression, replacement: string) => {
      const to = source.slice(whole.start, part.start) + replacement + source.slice(part.end, whole.end)
      found.push({
        ...{ contract, function: name, kind, from: brief(whole.text), to: brief(to), replacement },
        ...{ start: part.start, end: part.end },
      })
    }
    const head = headOf(at)
    const [first, ...rest] = at.children
    if (at.kind === 'atom') {
      const other = callers[at.text]
      // Told by what stands around it: one `tx-sender` looks like another.
      const before = around.children[around.children.indexOf(at) - 1]
      const whole = around.kind === 'tuple' && before ? { ...at, start: before.start } : around
      if (other) change('caller', { ...whole, text: source.slice(whole.start, whole.end) }, at, other)
      return
    }
    if (head === 'asserts!') change('assert', at, rest[0]!, 'true')
    for (const other of comparisons[head ?? ''] ?? []) change('comparison', at, first!, other)
    if (head === 'is-eq') change('comparison', at, at, `(not ${at.text})`)
    const operator = operators[head ?? '']
    if (operator) change('arithmetic', at, first!, operator)
    if (head === 'and') for (const part of rest) change('condition', at, part, 'true')
    if (head === 'or') for (const part of rest) change('condition', at, part, 'false')
    if (head === 'if' && !compares(rest[0]!))
      change('condition', rest[0]!, rest[0]!, `(not ${rest[0]!.text})`)
    for (const child of at.children) visit(child, at, name)
  }

  for (const definition of parse(source)) {
    if (!/^define-(public|read-only|private)$/.test(headOf(definition) ?? '')) continue
    const [, signature, ...body] = definition.children
    for (const expression of body) visit(expression, definition, headOf(signature!.children[0]!)!)
  }
  const seen = new Map<string, number>()
  return found.map((mutant) => {
    const id = `${contract} ${mutant.function} ${mutant.from} → ${mutant.to}`
    const nth = (seen.get(id) ?? 0) + 1
    seen.set(id, nth)
    return { ...mutant, id: nth === 1 ? id : `${id} #${nth}` }
  })
}

/** Whether what it says is broken elsewhere already. */
const compares = (condition: Expression): boolean =>
  ['<', '<=', '>', '>=', 'is-eq', 'and', 'or'].includes(headOf(condition) ?? '')

/** The source with that one thing broken. */
export function broken(source: string, mutant: Mutant): string {
  return source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end)
}
