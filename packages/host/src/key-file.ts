import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { decrypt, encrypt } from 'nostr-tools/nip49'

/**
 * The 32-byte secret in a file of 64 hex digits, or encrypted with a password (NIP-49), made when there is none (0600, synced before
 * it is used; encrypted when there is a password). Throws when others may read the file, or when it holds anything else.
 */
export async function readOrCreateKeyFile(path: string, password?: string): Promise<Uint8Array> {
  return (await readKeyFile(path, password)) ?? (await createKeyFile(path, password))
}

/** The 32-byte secret that 64 hex digits or `ncryptsec1…` stand for. Throws without ever showing it; `where` says whose it is. */
export function decodeKey(text: string, where: string, password?: string): Uint8Array {
  if (text.startsWith('ncryptsec1')) {
    if (!password) throw new Error(`${where}: this key is encrypted; give its password`)
    try {
      return decrypt(text, password)
    } catch {
      throw new Error(`${where}: the key is damaged, or the password is another`)
    }
  }
  if (!/^[0-9a-f]{64}$/.test(text) || /^0+$/.test(text))
    throw new Error(`${where}: expected a key of 64 hex digits, or ncryptsec1…`)
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

async function readKeyFile(path: string, password?: string): Promise<Uint8Array | undefined> {
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
  return decodeKey(text, path, password)
}

async function createKeyFile(path: string, password?: string): Promise<Uint8Array> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  // Written whole under another name, then linked: neither a crash nor a second process can leave half a key.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  const secret = randomBytes(32)
  await file.writeFile(`${password ? encrypt(secret, password) : secret.toString('hex')}\n`)
  await file.sync()
  await file.close()
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await unlink(draft)
  return (await readKeyFile(path, password))!
}
