/** A Clarity expression, with its place in the source: an atom or literal, a list in parentheses, or a tuple in braces. */
export interface Expression {
  readonly kind: 'atom' | 'list' | 'tuple'
  readonly text: string
  /** Offsets into the source, the end exclusive. */
  readonly start: number
  readonly end: number
  readonly children: readonly Expression[]
}

const token = /;;[^\n]*|[\s,]+|u?"(?:[^"\\]|\\.)*"|[(){}]|[^\s(){},;"]+/gy

/** The top-level expressions of a source. Throws where brackets do not match. */
export function parse(source: string): Expression[] {
  const open: { kind: 'list' | 'tuple'; start: number; children: Expression[] }[] = []
  const top: Expression[] = []
  token.lastIndex = 0
  for (let start = 0; start < source.length; start = token.lastIndex) {
    const found = token.exec(source)?.[0]
    if (found === undefined) throw new Error(`no Clarity at offset ${start}`)
    if (/^[\s,;]/.test(found)) continue
    if (found === '(' || found === '{') {
      open.push({ kind: found === '(' ? 'list' : 'tuple', start, children: [] })
      continue
    }
    const siblings = (at: number) => open.at(at)?.children ?? top
    if (found === ')' || found === '}') {
      const closed = open.pop()
      if (!closed || (closed.kind === 'list') !== (found === ')'))
        throw new Error(`unmatched ${found} at ${start}`)
      const end = start + 1
      siblings(-1).push({ ...closed, end, text: source.slice(closed.start, end) })
    } else siblings(-1).push({ kind: 'atom', start, end: start + found.length, text: found, children: [] })
  }
  if (open.length > 0) throw new Error(`unclosed bracket at ${open.at(-1)!.start}`)
  return top
}

/** What a list calls, or an atom says; nothing for a tuple. */
export function headOf(expression: Expression): string | undefined {
  if (expression.kind === 'atom') return expression.text
  const [first] = expression.children
  return expression.kind === 'list' && first?.kind === 'atom' ? first.text : undefined
}

/** An expression on one line, without comments. */
export function brief(text: string): string {
  return text
    .replace(/;;[^\n]*/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/([({]) | (?=[)}])/g, '$1')
}
