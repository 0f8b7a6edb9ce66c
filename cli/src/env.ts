import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { nodeEnv } from '@understudy/node/config'

const known = new Set([...Object.keys(nodeEnv.shape), 'API_URL'])

/**
 * The variables of a node that stand in `.env` of this folder and that the environment leaves unset. No others: a folder that somebody else
 * made must not set what programs that we start obey.
 */
export function envOfFolder(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  let text: string
  try {
    text = readFileSync(join(cwd, '.env'), 'utf8')
  } catch {
    return {}
  }
  const rows = Object.entries(parseEnv(text)).flatMap(([name, value]) =>
    known.has(name) && value && !env[name] ? [[name, value]] : [],
  )
  return Object.fromEntries(rows)
}
