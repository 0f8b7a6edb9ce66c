import { expect, it } from 'vitest'
import { hrefOf, parseRoute } from './route.ts'

const app = 'ab'.repeat(32)

it('finds every page again at its own address', () => {
  for (const route of [
    { page: 'overview' },
    { page: 'register-app' },
    { page: 'app', app },
    { page: 'register-mirror', app },
    { page: 'fund', app },
    { page: 'account', app },
    { page: 'account', app, address: 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM' },
    { page: 'transaction', txid: `0x${app}` },
  ] as const)
    expect(parseRoute(hrefOf(route))).toEqual(route)
})

it('knows no page at any other address', () => {
  for (const hash of [
    '#/app',
    '#/app/nix',
    `#/app/${app}/steal`,
    `#/app/${app}/fund/me`,
    `#/app/${app}/account/me`,
    '#/tx/1',
    '#/x',
  ])
    expect(parseRoute(hash)).toEqual({ page: 'unknown' })
  expect(parseRoute('')).toEqual({ page: 'overview' })
})
