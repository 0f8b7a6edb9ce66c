import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { type Asset, formatMoney, parseMoney, unitOf } from './money.ts'
import { parsePublicKey } from './publicKey.ts'

// What a person typed into a form, or a sentence that says what is wrong with it.

/** An amount in whole ones of the asset that is more than 0 and at least `least`; in its smallest unit. */
export function readAmount(text: string, asset: Asset, least = 1n): Parsed<bigint> {
  const read = parseMoney(text, asset)
  if (!read.ok || read.value >= least) return read
  return refused(
    least === 1n ? `Must be more than 0 ${unitOf(asset)}.` : `Must be at least ${formatMoney(least, asset)}.`,
  )
}

export function readNodeKey(text: string): Parsed<string> {
  return text.trim() === '' ? refused('Paste the public key of your node.') : parsePublicKey(text)
}

/** Where a mirror is: an https URL of at most 200 characters, without a trailing slash. */
export function readEndpoint(text: string): Parsed<string> {
  const typed = text.trim()
  try {
    const url = new URL(typed)
    const local = ['localhost', '127.0.0.1'].includes(url.hostname)
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local))
      return refused('Must begin with https://')
    if (url.username || url.password) return refused('Must not contain a user name or password.')
    if (url.search || url.hash) return refused('Must end before any ? or #.')
    const address = url.href.replace(/\/$/, '')
    return address.length > 200 ? refused('Must not be longer than 200 characters.') : parsed(address)
  } catch {
    return refused('Write a web address, such as https://mirror.example.org')
  }
}

/** A whole number of per cent, 1 to 100. */
export function readPercent(text: string): Parsed<number> {
  const typed = text.trim().replace(/\s*%$/, '')
  const value = Number(typed)
  if (!/^\d{1,3}$/.test(typed) || value < 1 || value > 100)
    return refused('Write a whole number from 1 to 100.')
  return parsed(value)
}

/** A Stacks address of this chain. */
export function readAddress(text: string, chainId: number): Parsed<string> {
  const typed = text.trim()
  const mainnet = chainId === 1
  if (!/^S[0-9A-Z]{38,40}$/.test(typed))
    return refused(`A Stacks address begins with ${mainnet ? 'SP' : 'ST'} and has about 40 signs.`)
  if (!(mainnet ? /^S[PM]/ : /^S[TN]/).test(typed))
    return refused(`That is an address of another network: here they begin with ${mainnet ? 'SP' : 'ST'}.`)
  return parsed(typed)
}
