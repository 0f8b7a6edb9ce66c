import type { NostrEvent } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import { isProtected } from './semantics.ts'

/** Undefined: granted. Otherwise the refusal, with its NIP-42 prefix. */
type Objection = `auth-required: ${string}` | `restricted: ${string}` | undefined

/** What the keys that a connection has proven (NIP-42) allow it to do. */
export interface Access {
  write(event: NostrEvent, names: ReadonlySet<string>): Objection
  read(filters: readonly Filter[], names: ReadonlySet<string>): Objection
}

const anyOf = (allowed: ReadonlySet<string>, names: ReadonlySet<string>, what: string): Objection => {
  for (const name of names) if (allowed.has(name)) return undefined
  return names.size > 0
    ? `restricted: your key may not ${what} here`
    : `auth-required: to ${what} here, say who you are`
}

/**
 * Everybody may read and write, but for protected events (NIP-70), which only their author hands in. `readers` and `writers`, when
 * given, are the keys that may.
 */
export function createAccess(
  options: { readonly readers?: ReadonlySet<string>; readonly writers?: ReadonlySet<string> } = {},
): Access {
  const { readers, writers } = options
  return {
    write(event, names) {
      if (isProtected(event) && !names.has(event.pubkey))
        return names.size > 0
          ? 'restricted: a protected event is taken from its author alone'
          : 'auth-required: a protected event is taken from its author alone'
      return writers && anyOf(writers, names, 'write')
    },
    read: (_filters, names) => readers && anyOf(readers, names, 'read'),
  }
}
