import { type Expression, headOf, parse } from './expression.ts'

/** By `<contract> <function>`: every function that it may call, itself included, in its own contract or another. */
export type Reaches = ReadonlyMap<string, ReadonlySet<string>>

/** Reads off the sources who calls whom: by name, as argument of `map`, `filter` and `fold`, and by `contract-call?`. */
export function reaches(sources: Readonly<Record<string, string>>): Reaches {
  const calls = new Map<string, Set<string>>()
  const bodies = new Map<string, readonly Expression[]>()
  for (const [contract, source] of Object.entries(sources))
    for (const definition of parse(source)) {
      const [, signature, ...body] = definition.children
      const head = headOf(definition) ?? ''
      if (/^define-(public|read-only|private)$/.test(head))
        bodies.set(`${contract} ${headOf(signature!.children[0]!)}`, body)
    }
  for (const [name, body] of bodies) {
    const contract = name.split(' ')[0]!
    const found = new Set([name])
    const visit = (at: Expression): void => {
      if (at.kind === 'atom' && bodies.has(`${contract} ${at.text}`)) found.add(`${contract} ${at.text}`)
      const [, callee, method] = at.children
      if (headOf(at) === 'contract-call?' && callee?.text.startsWith('.'))
        found.add(`${callee.text.slice(1)} ${method!.text}`)
      for (const child of at.children) visit(child)
    }
    for (const expression of body) visit(expression)
    calls.set(name, found)
  }
  for (let grown = true; grown; ) {
    grown = false
    for (const found of calls.values())
      for (const callee of [...found])
        for (const further of calls.get(callee) ?? [])
          if (!found.has(further)) {
            found.add(further)
            grown = true
          }
  }
  return calls
}

/** The functions through which a call may get to this one. */
export function entriesOf(reachable: Reaches, contract: string, name: string): Set<string> {
  const entries = [...reachable].filter(([, found]) => found.has(`${contract} ${name}`))
  return new Set(entries.map(([entry]) => entry))
}
