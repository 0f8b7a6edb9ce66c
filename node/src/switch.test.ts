import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSample, visit } from './sample.ts'

// The long one is `npm run bench -- switch`.
test('fifty switches under load: no answer fails, and no page is put together from two releases', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-switch-'))
  const sample = await startSample(dir, 51)
  try {
    await sample.next()
    let done = false
    const visits = visit(sample.url, 50, () => done)
    for (let i = 0; i < 50; i++) await sample.next()
    done = true
    const { pages, failed, mixed, faults } = await visits
    expect({ failed, mixed, faults }).toEqual({ failed: 0, mixed: 0, faults: [] })
    expect(pages).toBeGreaterThan(50)
    expect(sample.serving()).toBe(51)
  } finally {
    await sample.close()
    rmSync(dir, { recursive: true, force: true })
  }
}, 300_000)
