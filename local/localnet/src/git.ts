import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Who commits on behalf of the demo's maintainer; nothing of the user's own git configuration takes part. */
const env = {
  PATH: process.env.PATH,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Playbill',
  GIT_AUTHOR_EMAIL: 'playbill@understudy.test',
  GIT_COMMITTER_NAME: 'Playbill',
  GIT_COMMITTER_EMAIL: 'playbill@understudy.test',
}

/** Runs git in a folder; its output without the last newline. Throws with what git said. */
export async function git(folder: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await execute('git', args, {
      cwd: folder,
      env,
      maxBuffer: 64 * 1024 * 1024,
      timeout: 300_000,
    })
    return stdout.trimEnd()
  } catch (cause) {
    const { stderr } = cause as { stderr?: string }
    throw new Error(`git ${args[0]}: ${(stderr ?? String(cause)).trim()}`, { cause })
  }
}
