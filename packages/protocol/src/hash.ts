import { sha256 as portable } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

// Not imported, so that a page asks for nothing that it has not.
const node = globalThis.process?.getBuiltinModule?.('node:crypto')

/** sha256, by Node's own library where there is one: for trees of tens of thousands of leaves. */
export const sha256: (bytes: Uint8Array) => Uint8Array = node?.hash
  ? (bytes) => {
      const { buffer, byteOffset, length } = node.hash('sha256', bytes, 'buffer')
      return new Uint8Array(buffer, byteOffset, length)
    }
  : portable

/** sha256 of a text as UTF-8, hex. */
export const sha256Text: (text: string) => string = node?.hash
  ? (text) => node.hash('sha256', text)
  : (text) => bytesToHex(portable(utf8ToBytes(text)))
