import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The root of the project: two folders above `local/localnet`, whether this runs from `src` or from `dist`. */
export const projectRoot = resolve(import.meta.dirname, '../../..')

/** The built program of a workspace. Throws with the fix when it has not been built. */
export function program(path: string): string {
  const script = join(projectRoot, path)
  if (existsSync(script)) return script
  throw new Error(`${path} is not there: run npm run build`)
}

/** A built program of this workspace. */
export const own = (path: string): string => program(join('local/localnet/dist', path))
