import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Cl, type ClarityValue, cvToHex, serializeCVBytes } from '@stacks/transactions'
import { describe, expect, test } from 'vitest'
import { contractsOf, splitContract } from './contracts.ts'
import { decodeEvent, emptyHead, LogError, type Source, verifyLog } from './log.ts'

// docs/verifying.md tells strangers what every contract prints. Here its table is held to its word: prints are made of nothing but what it says.

const root = new URL('../../../', import.meta.url)
const page = readFileSync(new URL('docs/verifying.md', root), 'utf8')
const deployer = 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM'
const principal = Cl.principal(deployer)
const app = 'aa'.repeat(32)

const terms = Cl.tuple({
  ...Object.fromEntries(
    'budget places floor domain-bond fee grace min-bond faults window challenge claim-period min-seq'
      .split(' ')
      .map((name) => [name, Cl.uint(1)]),
  ),
  keys: Cl.list([Cl.bufferFromHex(`02${'ab'.repeat(32)}`)]),
  levels: Cl.list(['continent', 'country', 'network'].map(Cl.stringAscii)),
  'release-key': Cl.bufferFromHex('cd'.repeat(32)),
})

/** A value of the type that stands behind a member's name. */
function valueLike(type: string): ClarityValue {
  if (type === 'uint') return Cl.uint(7)
  if (type === 'principal') return principal
  if (type === 'optional principal') return Cl.some(principal)
  if (type === 'string-ascii') return Cl.stringAscii('https://node.example')
  if (type === 'bool') return Cl.bool(true)
  if (type === 'list of bool') return Cl.list([Cl.bool(true)])
  if (type === 'buff 32') return Cl.bufferFromHex('ef'.repeat(32))
  if (type === 'buff 33') return Cl.bufferFromHex(`02${'ef'.repeat(32)}`)
  if (type === 'buff, its ASCII bytes') return Cl.bufferFromAscii('30617:key:d')
  if (type === 'terms') return terms
  if (type.startsWith('list of optional {')) {
    const leaf = Cl.tuple({
      ...{ index: Cl.uint(0), mirror: Cl.uint(1), recipient: principal, amount: Cl.uint(5) },
    })
    return Cl.list([Cl.some(leaf), Cl.none()])
  }
  throw new Error(`docs/verifying.md names a type that this test does not know: ${type}`)
}

/** `a`, `b`; `c` bool: groups end in their type, and where none is said it is uint. */
function membersOf(cell: string): Record<string, ClarityValue> {
  const members = cell.replaceAll(/\{[^}]*\}/g, '{}').split(';')
  return Object.fromEntries(
    members.flatMap((group) => {
      const names = [...group.matchAll(/`([a-z-]+)`/g)].map(([, name]) => name!)
      const type = group.slice(group.lastIndexOf('`') + 1).trim() || (names[0] === 'terms' ? 'terms' : 'uint')
      return names.map((name) => [name, valueLike(type)] as const)
    }),
  )
}

const table = page.split('<!-- log -->')[1]!.split('<!-- /log -->')[0]!
const rows = [...table.matchAll(/^\| (quorum|registry|pool) \| `([a-z-]+)` \| (.*?) \| .* \|$/gm)].map(
  ([, source, topic, members]) => ({ source: source as Source, topic: topic!, members: membersOf(members!) }),
)

function printed(source: Source, topic: string, members: Record<string, ClarityValue>) {
  const body = {
    ...{ topic: Cl.stringAscii(topic), app: Cl.bufferFromHex(app), seq: Cl.uint(1) },
    ...{ burn: Cl.uint(1), height: Cl.uint(1) },
    ...members,
  }
  const digest = createHash('sha256')
    .update(serializeCVBytes(Cl.tuple(body)))
    .digest()
  const head = createHash('sha256').update(Buffer.from(emptyHead, 'hex')).update(digest).digest()
  const hex = cvToHex(Cl.tuple({ ...body, head: Cl.buffer(head) }))
  return { source, hex, txid: '', index: 0 }
}

describe('the table of prints in docs/verifying.md', () => {
  test('names every topic that a contract prints', () => {
    // What is signed has a topic too, and is not printed.
    const signed = ['settlement', 'commitment', 'attester-bond']
    const topics = Object.entries(contractsOf(deployer)).flatMap(([source, contract]) => {
      const [, name] = splitContract(contract)
      const code = readFileSync(new URL(`contracts/${name}.clar`, root), 'utf8')
      const named = [...code.matchAll(/topic: "([a-z-]+)"/g)].map(([, topic]) => topic!)
      return named.filter((topic) => !signed.includes(topic)).map((topic) => `${source} ${topic}`)
    })
    expect(rows.map(({ source, topic }) => `${source} ${topic}`).sort()).toEqual([...new Set(topics)].sort())
  })

  test.each(rows)('suffices for $source $topic, and names nothing too much', ({ source, topic, members }) => {
    const [event] = verifyLog([printed(source, topic, members)])
    expect(event).toMatchObject({ source, topic, app, seq: 1 })
    for (const name of Object.keys(members)) {
      const { [name]: _, ...others } = members
      expect(() => decodeEvent(printed(source, topic, others)), name).toThrow(LogError)
    }
  })
})
