import { describe, expect, test } from 'vitest'
import { type CloneVantage, checkCloneUrl } from './clone-url.ts'

const addresses: Record<string, string[]> = {
  'forge.example': ['93.184.215.14'],
  'two.example': ['93.184.215.14', '2606:2800:21f::1'],
  'loopback.example': ['127.0.0.1'],
  'private.example': ['10.0.0.8'],
  'link.example': ['169.254.169.254'],
  'six.example': ['::1'],
  'mixed.example': ['93.184.215.14', '192.168.0.1'],
  'odd.example': ['not an address'],
}
const publicly: CloneVantage = {
  schemes: ['https:', 'wss:'],
  resolve: async (host) => {
    if (host === 'down.example') throw new Error('SERVFAIL')
    return addresses[host] ?? []
  },
  admit: (address) => address === '93.184.215.14' || address.startsWith('2606:'),
}

const refusals: [input: string, reason: RegExp][] = [
  ['', /expected a URL/],
  ['file:///etc/passwd', /file:\/\/ is not allowed/],
  ['file:/etc/passwd', /expected a URL/],
  ['/srv/git/app.git', /expected a URL/],
  ['./app.git', /expected a URL/],
  ['ext::sh -c id', /spaces/],
  ['ext::sh', /remote helpers/],
  ['fd::3', /remote helpers/],
  ['https::https://forge.example/a.git', /remote helpers/],
  ['ssh://forge.example/a.git', /ssh:\/\/ is not allowed/],
  ['git+ssh://forge.example/a.git', /git\+ssh:\/\/ is not allowed/],
  ['git://forge.example/a.git', /git:\/\/ is not allowed/],
  ['ftp://forge.example/a.git', /ftp:\/\/ is not allowed/],
  ['wss://forge.example/a.git', /wss:\/\/ is not allowed/],
  ['http://forge.example/a.git', /http:\/\/ is not allowed, only https/],
  ['gopher://forge.example/a.git', /gopher:\/\/ is not allowed/],
  ['git@forge.example:a/b.git', /scp-like/],
  ['forge.example:a/b.git', /scp-like/],
  ['--upload-pack=touch', /begin with a dash/],
  ['-https://forge.example/a.git', /begin with a dash/],
  ['https://-oProxyCommand=x/a.git', /not a (host name|URL)/],
  ['https://user@forge.example/a.git', /credentials/],
  ['https://user:word@forge.example/a.git', /credentials/],
  ['https://:word@forge.example/a.git', /credentials/],
  ['https://forge.example/a.git?x=1', /no query/],
  ['https://forge.example/a.git#x', /no fragment/],
  ['https://93.184.215.14/a.git', /not an IP address/],
  ['https://127.1/a.git', /not an IP address/],
  ['https://2130706433/a.git', /not an IP address/],
  ['https://0x7f000001/a.git', /not an IP address/],
  ['https://0177.0.0.1/a.git', /not an IP address/],
  ['https://127.0.0.1./a.git', /not an IP address/],
  ['https://[::1]/a.git', /not an IP address/],
  ['https://[::ffff:127.0.0.1]/a.git', /not an IP address/],
  ['https://loopback.example/a.git', /127\.0\.0\.1 is not an address/],
  ['https://private.example/a.git', /10\.0\.0\.8 is not an address/],
  ['https://link.example/a.git', /169\.254\.169\.254 is not an address/],
  ['https://six.example/a.git', /::1 is not an address/],
  ['https://mixed.example/a.git', /192\.168\.0\.1 is not an address/],
  ['https://odd.example/a.git', /not an address/],
  ['https://nowhere.example/a.git', /no such host/],
  ['https://localhost/a.git', /no such host/],
  ['https://down.example/a.git', /could not be resolved/],
  ['https://forge.example /a.git', /spaces/],
  ['https://forge.example/\na.git', /spaces/],
  ['https://forgé.example/a.git', /non-ASCII/],
  ['https:///a b', /spaces/],
  ['https://', /not a URL/],
  ['https://forge.example:99999/a.git', /not a URL/],
  [`https://forge.example/${'a'.repeat(300)}`, /at most 300/],
]

describe('a clone URL', () => {
  test.each(refusals)('%j is refused', async (input, reason) => {
    const checked = await checkCloneUrl(input, publicly)
    expect(checked).toEqual({ ok: false, reason: expect.stringMatching(reason) })
  })

  test('is pinned to the one address that was judged', async () => {
    expect(await checkCloneUrl('https://Forge.example/a/b.git', publicly)).toEqual({
      ok: true,
      value: { url: 'https://forge.example/a/b.git', pin: 'forge.example:443:93.184.215.14' },
    })
  })

  test('is pinned to all addresses when all are admitted', async () => {
    expect(await checkCloneUrl('https://two.example:8443/a.git', publicly)).toEqual({
      ok: true,
      value: {
        url: 'https://two.example:8443/a.git',
        pin: 'two.example:8443:93.184.215.14,[2606:2800:21f::1]',
      },
    })
  })

  test('may be plain http where the vantage has it', async () => {
    const pretended = { ...publicly, schemes: ['https:', 'http:'] }
    expect(await checkCloneUrl('http://forge.example:8080/a.git', pretended)).toMatchObject({
      ok: true,
      value: { pin: 'forge.example:8080:93.184.215.14' },
    })
  })
})
