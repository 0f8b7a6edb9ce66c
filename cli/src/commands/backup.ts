import { join, resolve } from 'node:path'
import { command, type Io } from '../command.ts'
import { Failure } from '../failure.ts'

const args = {
  file: { type: 'positional', description: 'The copy', required: true },
  data: { type: 'string', description: 'Folder of the node or relay; default DATA_DIR, or ./data' },
} as const

const pathsOf = (io: Io, { file, data }: { readonly file: string; readonly data?: string | undefined }) => ({
  copy: resolve(io.cwd, file),
  store: join(resolve(io.cwd, data || io.env.DATA_DIR || './data'), 'relay.sqlite'),
})

export const backup = (io: Io) =>
  command(io, {
    name: 'backup',
    description: 'Copy the events of a node or relay, while it runs',
    args,
    async run(given) {
      const { copy, store } = pathsOf(io, given)
      const { backUp } = await import('@understudy/node/relay/backup')
      const made = backUp(store, copy)
      if (!made.ok) throw new Failure('not-copied', made.reason)
      return { lines: [`${made.value} events in ${copy}`], data: { events: made.value, copy, store } }
    },
  })

export const restore = (io: Io) =>
  command(io, {
    name: 'restore',
    description: 'Put a copy in place of a store; the node or relay must be stopped',
    args,
    async run(given) {
      const { copy, store } = pathsOf(io, given)
      const { restore } = await import('@understudy/node/relay/backup')
      const put = restore(copy, store)
      if (!put.ok) throw new Failure('not-restored', put.reason)
      return { lines: [`${put.value} events in ${store}`], data: { events: put.value, copy, store } }
    },
  })
