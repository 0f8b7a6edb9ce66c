import { Worker } from 'node:worker_threads'

/** A thread that runs this file of ours. Node cannot run the sources: they use what was built from them. */
export function startThread(
  name: 'verification' | 'reconciliation' | 'writing',
  workerData?: unknown,
): Worker {
  const built = import.meta.url.endsWith('.ts') ? `../../dist/relay/${name}-thread.js` : `./${name}-thread.js`
  // Without the parent's flags: those of a test runner would send it back to the sources.
  return new Worker(new URL(built, import.meta.url), { workerData, execArgv: [] })
}
