import type { Simnet as Sdk } from '@stacks/clarinet-sdk'

/**
 * The Clarinet SDK together with the WebAssembly memory that it runs in.
 *
 * Simnet commits whatever it executes and has no way back, but a failed post-condition must undo a call that
 * succeeded. All of simnet's state lives in the linear memory of one WebAssembly instance, so a copy of that memory
 * is an exact checkpoint, and writing it back an exact rollback. Three things make that sound:
 *
 * 1. every call is synchronous and its JavaScript handles are freed before it returns (`call`), so that no finalizer
 *    frees, after a rollback, an address that means something else by then;
 * 2. the table of JavaScript references is grown beforehand, because its size is not part of the memory;
 * 3. memory only grows: pages that came after the checkpoint are lost to the allocator, never handed out twice.
 */
export interface Machine {
  readonly sdk: Sdk
  /** Runs a synchronous use of the SDK and frees what it left behind. */
  call<T>(use: (sdk: Sdk) => T): T
  /** Copies the memory into `into` where that is large enough. Costs about 40 ms for the usual 180 MB. */
  save(into?: Checkpoint): Checkpoint
  /** Writes a saved memory back. */
  restore(checkpoint: Checkpoint): void
}

export interface Checkpoint {
  readonly bytes: Uint8Array
  readonly length: number
}

interface Exports {
  readonly memory: WebAssembly.Memory
  readonly __wbindgen_externrefs: WebAssembly.Table
  __externref_table_alloc(): number
  __externref_table_dealloc(index: number): void
}

type ImportFunction = (...args: unknown[]) => unknown

const SPARE_REFERENCES = 4096

/**
 * Loads the SDK. It must not have been loaded before in this process: the hooks only reach a fresh instance.
 *
 * @param now what the SDK takes for the wall clock when a session starts (ms since 1970)
 * @param print receives what contracts and the SDK would have written to the console
 */
export async function loadMachine(now: number, print: (line: string) => void): Promise<Machine> {
  let captured: Exports | undefined
  const frees = new Map<unknown, () => void>()
  let inCall = false

  class Instance extends WebAssembly.Instance {
    constructor(module: WebAssembly.Module, imports: WebAssembly.Imports = {}) {
      super(module, hooked(imports, now, print))
      captured = this.exports as unknown as Exports
    }
  }
  class Registry {
    readonly free: (held: unknown) => void
    constructor(free: (held: unknown) => void) {
      this.free = free
    }
    register(_: unknown, held: unknown, token: unknown) {
      if (inCall) frees.set(token, () => this.free(held))
    }
    unregister(token: unknown) {
      return frees.delete(token)
    }
  }

  const before = { Instance: WebAssembly.Instance, FinalizationRegistry: globalThis.FinalizationRegistry }
  WebAssembly.Instance = Instance
  globalThis.FinalizationRegistry = Registry as unknown as FinalizationRegistryConstructor
  let sdk: Sdk
  try {
    const { getSDK } = await import('@stacks/clarinet-sdk')
    sdk = await getSDK({ trackCosts: false, trackCoverage: false })
  } finally {
    WebAssembly.Instance = before.Instance
    globalThis.FinalizationRegistry = before.FinalizationRegistry
    // The SDK makes every bigint of the process serialisable; a forgotten `String()` shall stay an error.
    delete (BigInt.prototype as { toJSON?: unknown }).toJSON
  }
  if (captured === undefined) throw new Error('the Clarinet SDK was loaded before its machine')
  const exports = captured
  const references = Array.from({ length: SPARE_REFERENCES }, () => exports.__externref_table_alloc())
  for (const reference of references) exports.__externref_table_dealloc(reference)

  return {
    sdk,
    call(use) {
      inCall = true
      try {
        return use(sdk)
      } finally {
        inCall = false
        const left = [...frees.values()]
        frees.clear()
        for (const free of left) free()
      }
    },
    save(into) {
      const memory = new Uint8Array(exports.memory.buffer)
      const bytes =
        into !== undefined && into.bytes.length >= memory.length ? into.bytes : new Uint8Array(memory.length)
      bytes.set(memory)
      return { bytes, length: memory.length }
    },
    restore({ bytes, length }) {
      new Uint8Array(exports.memory.buffer).set(bytes.subarray(0, length))
    },
  }
}

/** Pins the clock and redirects the console. Import names carry a hash, so they are matched by their beginning. */
function hooked(
  imports: WebAssembly.Imports,
  now: number,
  print: (line: string) => void,
): WebAssembly.Imports {
  const write: ImportFunction = (...args) => print(args.map(String).join(' '))
  const hook = (name: string, original: WebAssembly.ImportValue): WebAssembly.ImportValue => {
    if (/^__wbg_new_0_/.test(name)) return () => new Date(now)
    // The console takes one JavaScript value; the panic hook, of the same name, takes an address and a length.
    if (/^__wbg_(log|info|warn|error|debug)_/.test(name) && (original as ImportFunction).length === 1)
      return write
    return original
  }
  return Object.fromEntries(
    Object.entries(imports).map(([module, values]) => [
      module,
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name, hook(name, value)])),
    ]),
  )
}
