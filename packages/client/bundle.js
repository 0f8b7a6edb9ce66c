// Bundles what an app copies into its own folder: the service worker and the script that registers it.
import { build } from 'esbuild'

const shared = {
  absWorkingDir: import.meta.dirname,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  platform: 'browser',
  conditions: ['source'],
  legalComments: 'none',
  logLevel: 'warning',
}

await build({
  ...shared,
  format: 'iife',
  entryPoints: ['src/service-worker.ts'],
  outfile: 'dist/understudy-sw.js',
})
await build({ ...shared, entryPoints: ['src/loader.ts'], outfile: 'dist/understudy.js' })
