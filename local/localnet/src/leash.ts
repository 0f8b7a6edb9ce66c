/**
 * Preloaded (`node --import`) into every program that the supervisor starts. File descriptor 3 is a socket whose other end the
 * supervisor holds: it closes when the supervisor is gone, however it went, and the program then ends as on Ctrl-C.
 */
import { Socket } from 'node:net'

/** Time to end in good order, ms. */
const graceMs = 8_000

const leash = new Socket({ fd: 3 })
leash.once('close', () => {
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref()
})
leash.on('error', () => leash.destroy())
leash.resume()
leash.unref()
