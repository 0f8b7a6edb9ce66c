import { expect, test } from 'vitest'
import { parseOptions } from './options.ts'

test('without options it runs on, quietly, in .understudy', () => {
  expect(parseOptions([])).toMatchObject({
    ok: true,
    value: { once: false, data: '.understudy', fresh: false, verbose: false, json: false },
  })
})

test.each([['--twice'], ['now'], ['--data']])('%s is refused', (arg) => {
  expect(parseOptions([arg]).ok).toBe(false)
})

test.each(['file:///etc', 'ext::sh -c id', 'http://host/x.git', 'git://host/x.git'])(
  'a repository at %s is refused',
  (repo) => {
    expect(parseOptions(['--repo', repo])).toEqual({
      ok: false,
      reason: '--repo: give a path, or an https URL',
    })
  },
)

test.each(['../app', '/srv/app', 'https://host.example/app.git'])('a repository at %s is taken', (repo) => {
  expect(parseOptions(['--repo', repo])).toMatchObject({ ok: true, value: { repo } })
})
