import { parseArgs } from 'node:util'
import type { Parsed } from '@understudy/protocol/event'
import { parsed, refused } from '@understudy/protocol/event'
import { isUrl } from './repository.ts'

export const help = `npm start -- [options]: the whole of Understudy on this machine

  --once            end after the first epoch is paid and the failover shown
  --repo <where>    master repository: a path or an https URL (default: a small demo app)
  --data <folder>   where everything is kept (default: .understudy); a second start resumes
  --fresh           empty that folder first
  --verbose         print every program's log, not only to <data>/logs
  --json            print one JSON document a line
  --help            print this

  DATABASE_URL      a Postgres server of yours, instead of the one that npm installed
`

export interface Options {
  readonly once: boolean
  readonly repo: string | undefined
  readonly data: string
  readonly fresh: boolean
  readonly verbose: boolean
  readonly json: boolean
  readonly help: boolean
}

/** Reads the command line. */
export function parseOptions(args: readonly string[]): Parsed<Options> {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: 'boolean', default: false },
        repo: { type: 'string' },
        data: { type: 'string', default: '.understudy' },
        fresh: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.repo !== undefined && isUrl(values.repo) && !values.repo.startsWith('https://')) {
      return refused('--repo: give a path, or an https URL')
    }
    return parsed({ ...values, repo: values.repo })
  } catch (error) {
    return refused((error as Error).message.split('. ')[0] ?? 'bad options')
  }
}
