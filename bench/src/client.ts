import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { BenchResult } from './result.ts'

const client = fileURLToPath(new URL('../../packages/client/src/', import.meta.url))

/** Gzip bytes of what a page embeds, minified as it ships. */
async function gzipBytes(source: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: client, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    conditions: ['source'],
    legalComments: 'none',
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

/**
 * The client core: open an app, ask relays, verify, fail over. Floor: signature and hash code alone, which no verifying client can
 * do without.
 */
export async function bench(): Promise<BenchResult> {
  const goal = 15_360
  const floor = await gzipBytes(`export { verify } from './verify.ts'`)
  const value = await gzipBytes(`
    export { openApp } from './app.ts'
    export { parseConfig } from './config.ts'
    export { verify } from './verify.ts'
    export { openRelays } from '@understudy/relays/relays'
  `)
  const worker = await gzipBytes(`import './service-worker.ts'`)
  return {
    bench: 'client',
    value,
    unit: 'B gzip',
    floor,
    ratio: value / floor,
    goal,
    met: value <= goal,
    worker,
  }
}
