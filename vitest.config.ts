import { defineConfig } from 'vitest/config'

/** Tests of whole networks: an attester that gets no processor doubts itself, and rightly reports nothing. */
const networks = ['tests/*.test.ts', 'tests/adversaries/real.test.ts', 'registry/attester/src/epoch.test.ts']

// Tests read the TypeScript sources of every workspace, so that a failing line is a line of ours.
export default defineConfig({
  // Only what Node cannot know: vitest hands these on to Node, where `import` would give ES modules to `require`.
  resolve: { conditions: ['source', 'node'] },
  ssr: { resolve: { conditions: ['source', 'node'] } },
  test: {
    exclude: ['**/node_modules/**', '**/dist/**', '**/.cache/**', '**/.understudy/**'],
    pool: 'forks',
    // For what hangs, not for what is slow: a machine may be ten times slower than the one that a test was written on.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['**/*.test.ts'],
          exclude: networks,
          maxWorkers: 2,
          // They import nostr-tools, which names sources that it does not ship: vite passes over those, Node would not.
          server: { deps: { inline: [/@welshman/, /applesauce/, /@nostr-dev-kit/] } },
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Whole networks, one at a time and after the parts: an epoch is a minute of real time for a dozen programs.
        extends: true,
        test: { name: 'networks', include: networks, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
