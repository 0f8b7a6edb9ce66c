import { defineConfig } from 'vitest/config'

// Tests read the TypeScript sources of every workspace, so that a failing line is a line of ours.
export default defineConfig({
  // Only what Node cannot know: vitest hands these on to Node, where `import` would give ES modules to `require`.
  resolve: { conditions: ['source', 'node'] },
  ssr: { resolve: { conditions: ['source', 'node'] } },
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/.cache/**', '**/.understudy/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
})
