import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * The 32-byte secret in a file of 64 hex digits, made when there is none (0600, synced before it is used). Throws when others
 * may read the file, or when it holds anything else.
 */
export async function readOrCreateKeyFile(path: string): Promise<Uint8Array> {
  return (await readKeyFile(path)) ?? (await createKeyFile(path))
}

async function readKeyFile(path: string): Promise<Uint8Array | undefined> {
  let text: string
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw new Error(`${path}: others may read this key; run chmod 600 on it`)
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (!/^[0-9a-f]{64}$/.test(text) || /^0+$/.test(text))
    throw new Error(`${path}: expected a key of 64 hex digits`)
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

async function createKeyFile(path: string): Promise<Uint8Array> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  // Written whole under another name, then linked: neither a crash nor a second process can leave half a key.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  await file.writeFile(`${randomBytes(32).toString('hex')}\n`)
  await file.sync()
  await file.close()
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await unlink(draft)
  return (await readKeyFile(path))!
}
