import { envDocs } from '@understudy/host/config'
import { expect, test } from 'vitest'
import { config, paceOf } from './config.ts'

test('.env.example says what the schema says', async () => {
  await expect(envDocs(config)).toMatchFileSnapshot('../.env.example')
})

test('the pace follows from how often mirrors are probed', () => {
  expect(paceOf({ PROBE_INTERVAL_MS: 600_000 })).toMatchObject({
    chainPollMs: 10_000,
    deltaMs: 60_000,
  })
  expect(paceOf({ PROBE_INTERVAL_MS: 3_000 })).toMatchObject({
    chainPollMs: 750,
    deltaMs: 1_000,
  })
  expect(paceOf({ PROBE_INTERVAL_MS: 3_000, DELTA_MS: 200 }).deltaMs).toBe(200)
})
