import { expect, test } from 'vitest'
import { createStages } from './stages.ts'

test('a stage that is past is found at once, one to come is waited for', async () => {
  const stages = createStages()
  stages.tell({ stage: 'settled', epoch: 0, text: '' })
  expect((await stages.until('settled')).epoch).toBe(0)
  const next = stages.until('settled', { where: (stage) => stage.epoch === 1 })
  stages.tell({ stage: 'settled', epoch: 1, text: '' })
  expect((await next).epoch).toBe(1)
})

test('a listener hears also what is past', () => {
  const stages = createStages()
  stages.tell({ stage: 'started', text: 'a' })
  const heard: string[] = []
  stages.listen((stage) => heard.push(stage.text))
  stages.tell({ stage: 'deployed', text: 'b' })
  expect(heard).toEqual(['a', 'b'])
})

test('a deadline that passes names the last stage that was reached', async () => {
  const stages = createStages()
  stages.tell({ stage: 'revealed', epoch: 0, text: '' })
  await expect(stages.until('settled', { timeoutMs: 1 })).rejects.toThrow(
    'nothing was settled within 0 s; last was “revealed”',
  )
})
