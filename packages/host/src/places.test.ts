import { describe, expect, test } from 'vitest'
import { placesVantage, pretendingRefused } from './places.ts'
import { isPublicAddress, originName } from './vantage.ts'

const devnet = async () => ({ server_version: 'understudy-devnet 0.1.0' })

describe('pretending', () => {
  test('is allowed on loopback with our devnet alone', async () => {
    expect(await pretendingRefused('http://127.0.0.1:3999', devnet)).toBeUndefined()
    expect(await pretendingRefused('http://localhost:3999/', devnet)).toBeUndefined()
  })

  test.each(['https://api.hiro.so', 'http://127.0.0.1.example.com', 'http://192.168.1.2:3999', 'not a url'])(
    'is refused beside %s, whatever that says',
    async (url) => {
      expect(await pretendingRefused(url, devnet)).toMatch(/not a loopback address/)
    },
  )

  test.each([
    [async () => ({ server_version: 'stacks-node 3.1' })],
    [async () => ({})],
    [() => Promise.reject(new Error('unreachable'))],
  ])('is refused where the node does not say that it is our devnet', async (info) => {
    expect(await pretendingRefused('http://127.0.0.1:3999', info)).toMatch(/is not one/)
  })
})

test('pretended places know only what the file says', async () => {
  const vantage = placesVantage({
    places: [{ name: 'A', network: 64501, latitude: 0, longitude: 0, addresses: ['127.0.1.1'] }],
    hosts: { 'forge.understudy.test': '127.0.9.1' },
  })
  expect(await vantage.resolve('forge.understudy.test')).toEqual(['127.0.9.1'])
  expect(await vantage.resolve('localhost')).toEqual([])
  expect(await vantage.network('127.0.1.1')).toBe(64501)
  expect(vantage.admit('127.0.9.1')).toBe(true)
  expect(vantage.admit('127.0.0.1')).toBe(false)
})

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1111', true],
  ['127.0.0.1', false],
  ['0.0.0.0', false],
  ['255.255.255.255', false],
  ['224.0.0.1', false],
  ['192.0.2.1', false],
  ['198.18.0.1', false],
  ['::', false],
  ['::ffff:8.8.8.8', false],
  ['2001:db8::1', false],
  ['2002:7f00:1::', false],
  ['4000::1', false],
  ['example.com', false],
])('%s is public: %s', (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected)
})

test('asks for the origin of an address in reverse', () => {
  expect(originName('192.0.2.7')).toBe('7.2.0.192.origin.asn.cymru.com')
  expect(originName('2001:db8::1')).toMatch(/^1\.0\..*8\.b\.d\.0\.1\.0\.0\.2\.origin6\.asn\.cymru\.com$/)
})
