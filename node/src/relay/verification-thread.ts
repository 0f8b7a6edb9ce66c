import { parentPort } from 'node:worker_threads'
import type { NostrEvent } from '@understudy/protocol/event'
import { loadVerify } from '@understudy/relays/verify'

/** Checks signatures, a batch at a time: events as JSON in, one byte each (1 = genuine) out, in order. */
const verify = await loadVerify()
parentPort!.on('message', (batch: readonly string[]) => {
  const verdicts = Uint8Array.from(batch, (json) => Number(verify(JSON.parse(json) as NostrEvent)))
  parentPort!.postMessage(verdicts, [verdicts.buffer])
})
