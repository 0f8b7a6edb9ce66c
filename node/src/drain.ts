import type { Server, ServerResponse } from 'node:http'
import { Server as NetServer } from 'node:net'

/** Ends an HTTP server without cutting anybody off. */
export interface Drain {
  begun(): boolean
  /** From now on nobody new is let in. */
  begin(): void
  /** Once every answer that has begun is sent, or after `ms`, closes what is still open. */
  end(ms: number): Promise<void>
}

export function createDrain(server: Server): Drain {
  const answering = new Set<ServerResponse>()
  let begun = false
  let onSent = () => {}
  server.on('request', (_, response: ServerResponse) => {
    answering.add(response)
    response.once('close', () => {
      answering.delete(response)
      if (answering.size === 0) onSent()
    })
  })
  return {
    begun: () => begun,
    begin() {
      begun = true
      // Not the HTTP server's own: to that one an answer is done once it is handed over, and what is not sent yet is lost.
      NetServer.prototype.close.call(server)
    },
    async end(ms) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        onSent = resolve
        timer = setTimeout(resolve, ms)
        if (answering.size === 0) resolve()
      })
      clearTimeout(timer)
      server.closeAllConnections()
    },
  }
}
