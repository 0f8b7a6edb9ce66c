/** The part of the WebSocket interface that a relay connection uses: the browser's and that of `ws`. */
export interface Socket {
  readonly readyState: number
  readonly bufferedAmount: number
  // `unknown`, because the two declare their handlers differently; we only ever assign.
  onopen: unknown
  onmessage: unknown
  onerror: unknown
  onclose: unknown
  send(data: string): void
  close(): void
  /** Only `ws` has it: drops the connection without waiting for the peer. */
  terminate?(): void
}

export type SocketConstructor = new (url: string) => Socket

/** Largest frame that we take from a relay, in characters. */
export const maxFrameLength = 256 * 1024

/** The runtime's WebSocket; on Node the one of `ws`, which limits payloads and can drop a frozen peer. */
export async function runtimeSocket(): Promise<SocketConstructor> {
  const onNode = typeof process === 'object' && process.versions?.node !== undefined
  if (!onNode) return (globalThis as unknown as { WebSocket: SocketConstructor }).WebSocket
  // A name that bundlers cannot follow: pages never need it.
  const name = 'ws'
  const { WebSocket } = (await import(/* @vite-ignore */ name)) as typeof import('ws')
  return class extends WebSocket {
    constructor(url: string) {
      super(url, { maxPayload: maxFrameLength, perMessageDeflate: { threshold: 1024 } })
    }
  }
}
