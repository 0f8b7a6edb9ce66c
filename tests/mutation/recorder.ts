import { format } from 'node:util'

// Stands in for vitest where the contracts' tests are run as functions, one by one and many times over.
export { expect } from 'vitest'

type Act = () => unknown
interface Scope {
  readonly name: string
  readonly before: Act[]
  readonly within: Scope | undefined
}

export interface RecordedTest {
  readonly file: string
  readonly name: string
  /** What is done before it, once in each group, the outermost first. */
  readonly before: readonly (readonly Act[])[]
  readonly act: Act
}

const tests: RecordedTest[] = []
let file = ''
let scope: Scope = { name: '', before: [], within: undefined }

/** The tests that importing this file defines. */
export async function record(name: string, load: () => Promise<unknown>): Promise<RecordedTest[]> {
  file = name
  scope = { name: '', before: [], within: undefined }
  const first = tests.length
  await load()
  return tests.slice(first)
}

export function beforeAll(act: Act): void {
  scope.before.push(act)
}

/** What is done, which options may precede or follow. */
function actOf<T>(given: readonly unknown[]): T {
  return given.find((value) => typeof value === 'function') as T
}

function group(name: string, ...given: readonly unknown[]): void {
  scope = { name, before: [], within: scope }
  actOf<() => void>(given)()
  scope = scope.within!
}

function test(name: string, ...given: readonly unknown[]): void {
  const act = actOf<Act>(given)
  const scopes: Scope[] = []
  for (let at: Scope | undefined = scope; at; at = at.within) scopes.unshift(at)
  const named = [...scopes.map((at) => at.name), name].filter(Boolean).join(' › ')
  // Rows of a table may be told alike.
  const alike = tests.filter((other) => other.file === file && other.name.startsWith(named)).length
  tests.push({
    file,
    name: alike === 0 ? named : `${named} (${alike + 1})`,
    before: scopes.map(({ before }) => before),
    act,
  })
}

type Each = (...args: readonly unknown[]) => unknown

/** A test or group for each row, its values put into the name. */
const each =
  <T extends (name: string, act: () => void) => void>(define: T) =>
  (rows: readonly unknown[]) =>
  (name: string, ...given: readonly unknown[]) => {
    const act = actOf<Each>(given)
    for (const row of rows) {
      const values: readonly unknown[] = Array.isArray(row) ? row : [row]
      const holders = name.match(/%[a-z]/g)?.length ?? 0
      define(format(name, ...values.slice(0, holders)), () => act(...values))
    }
  }

export const describe = Object.assign(group, { each: each(group) })
export const it = Object.assign(test, { each: each(test) })
