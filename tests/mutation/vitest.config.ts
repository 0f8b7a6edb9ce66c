import { defineConfig } from 'vitest/config'

const here = (path: string) => new URL(path, import.meta.url).pathname

// One process that keeps everything warm; the contracts' tests in it are functions, recorded in place of run.
export default defineConfig({
  root: here('../..'),
  cacheDir: here('../.cache/mutation'),
  resolve: { conditions: ['source', 'node'] },
  ssr: { resolve: { conditions: ['source', 'node'] } },
  plugins: [
    {
      name: 'record-tests',
      enforce: 'pre',
      resolveId: (id, importer) =>
        id === 'vitest' && importer?.includes('/tests/contracts/') ? here('recorder.ts') : null,
    },
  ],
  test: {
    include: ['tests/mutation/run.ts'],
    pool: 'forks',
    // The simnet is loud about every print.
    silent: true,
    reporters: [{}],
  },
})
