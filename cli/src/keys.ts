import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { getPublicKey } from 'nostr-tools/pure'
import { bytesToHex, hexToBytes } from 'nostr-tools/utils'
import { Failure } from './failure.ts'

/** The two keys of a person: one that pays and is paid on Stacks, one that signs events. */
export type KeyName = 'stacks' | 'nostr'

export const keyNames: readonly KeyName[] = ['stacks', 'nostr']

/** Folder that keys live in unless `--keys` or UNDERSTUDY_KEYS names another. */
export const defaultKeyFolder = (): string => join(homedir(), '.config', 'understudy', 'keys')

export const keyFile = (folder: string, name: KeyName): string => join(folder, `${name}.key`)

/** Makes a key and writes it down as hex for its owner alone (0600). Refuses to replace one. */
export function createKey(file: string): Uint8Array {
  let secret = randomBytes(32)
  while (!isSecret(secret)) secret = randomBytes(32)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    writeFileSync(file, `${bytesToHex(secret)}\n`, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new Failure('key-exists', `${file} already holds a key`, 'name another folder with --keys', {
      cause,
    })
  }
  chmodSync(file, 0o600)
  return secret
}

/** Reads a key file; refuses one that others may read, or that holds no key. */
export function readKey(file: string): Uint8Array {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat) throw new Failure('no-key', `${file} does not exist`, 'make one with: understudy keys new')
  if ((stat.mode & 0o077) !== 0 && process.platform !== 'win32') {
    throw new Failure('open-key', `${file} can be read by others`, `close it with: chmod 600 ${file}`)
  }
  const text = stat.size > 200 ? '' : readFileSync(file, 'utf8').trim()
  // Wallets export Stacks keys with a trailing 01, which says that the public key is compressed.
  const hex = /^([0-9a-f]{64})(01)?$/i.exec(text)?.[1]
  const secret = hex === undefined ? undefined : hexToBytes(hex.toLowerCase())
  if (!secret || !isSecret(secret)) {
    throw new Failure('bad-key', `${file} holds no key`, 'a key is 32 bytes in hex')
  }
  return secret
}

function isSecret(secret: Uint8Array): boolean {
  try {
    return getPublicKey(secret).length === 64
  } catch {
    return false
  }
}
