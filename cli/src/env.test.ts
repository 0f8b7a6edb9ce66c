import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { envOfFolder } from './env.ts'

test('.env gives a node its variables, the environment comes first, and nothing else is taken', () => {
  const folder = mkdtempSync(join(tmpdir(), 'env-'))
  try {
    expect(envOfFolder(folder, {})).toEqual({})
    const lines = [
      'APP=a',
      'PUBLIC_URL="https://one.example"',
      'STX_ADDRESS=',
      'GIT_SSH_COMMAND=evil',
      'KEY_FILE=evil',
    ]
    writeFileSync(join(folder, '.env'), [...lines, 'PUBLIC_URL=https://two.example', ''].join('\n'))
    expect(envOfFolder(folder, { APP: 'given' })).toEqual({ PUBLIC_URL: 'https://two.example' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
