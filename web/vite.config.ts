import preact from '@preact/preset-vite'
import { defineConfig } from 'vite'

// Relative URLs: the built page works from any static host and any sub-path, and so can be mirrored like any app.
export default defineConfig({
  base: './',
  plugins: [preact()],
  resolve: { conditions: ['source', 'browser', 'module', 'import', 'default'] },
  build: {
    target: 'es2022',
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1_500,
  },
  logLevel: 'warn',
})
