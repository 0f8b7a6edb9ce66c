import { fileURLToPath } from 'node:url'
import preact from '@preact/preset-vite'
import { defineConfig } from 'vite'

// Relative URLs: the built page works from any static host and any sub-path, and so can be mirrored like any app.
export default defineConfig({
  base: './',
  plugins: [preact()],
  resolve: {
    conditions: ['source', 'browser', 'module', 'import', 'default'],
    alias: {
      '@reown/appkit-universal-connector': fileURLToPath(new URL('src/no-walletconnect.ts', import.meta.url)),
    },
  },
  build: { target: 'es2022', modulePreload: { polyfill: false } },
  logLevel: 'warn',
})
