import { createHash, randomUUID } from 'node:crypto'
import { access, mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Archive } from './archive.ts'

const isAddress = /^[0-9a-f]{64}$/

/** An archive in a folder: `<first two digits>/<sha256>.jsonl`. Nothing is ever changed or removed. */
export async function openFolderArchive(dir: string): Promise<Archive> {
  await mkdir(dir, { recursive: true })
  const fileOf = (address: string) => join(dir, address.slice(0, 2), `${address}.jsonl`)

  return {
    async put(bytes) {
      const address = addressOf(bytes)
      const file = fileOf(address)
      if (await exists(file)) return address
      const shelf = join(dir, address.slice(0, 2))
      const made = await mkdir(shelf, { recursive: true })
      // The bytes reach the disk before their name does, and the name before anyone hears of it.
      const draft = join(shelf, `${randomUUID()}.draft`)
      const handle = await open(draft, 'wx', 0o644)
      try {
        await handle.writeFile(bytes)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(draft, file)
      await syncFolder(shelf)
      if (made) await syncFolder(dir)
      return address
    },

    async get(address) {
      if (!isAddress.test(address)) throw new Error('archive: not an address')
      const bytes = await readFile(fileOf(address))
      if (addressOf(bytes) !== address) throw new Error(`archive: ${address} was changed on disk`)
      return bytes
    },

    async *list() {
      for (const shelf of (await readdir(dir)).sort()) {
        if (!/^[0-9a-f]{2}$/.test(shelf)) continue
        for (const name of (await readdir(join(dir, shelf))).sort()) {
          const address = name.replace(/\.jsonl$/, '')
          if (isAddress.test(address)) yield address
        }
      }
    },
  }
}

function addressOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
