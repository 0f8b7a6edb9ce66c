/** A page of the site. Routes live behind `#`, so that any static host serves them from any path. */
export type Route =
  | { readonly page: 'overview' }
  | { readonly page: 'register-app' }
  | { readonly page: 'app'; readonly app: string }
  | { readonly page: 'register-mirror'; readonly app: string }
  | { readonly page: 'fund'; readonly app: string }
  /** What an account has in an app; without an address, the choice of one. */
  | { readonly page: 'account'; readonly app: string; readonly address?: string }
  | { readonly page: 'transaction'; readonly txid: string }
  | { readonly page: 'unknown' }

const id = /^[0-9a-f]{64}$/

export function parseRoute(hash: string): Route {
  const [first = '', second = '', third = '', fourth = '', ...rest] = hash.replace(/^#?\/?/, '').split('/')
  if (first === 'app' && id.test(second) && third === 'account' && rest.length === 0) {
    if (fourth === '') return { page: 'account', app: second }
    if (/^S[0-9A-Z]{38,40}$/.test(fourth)) return { page: 'account', app: second, address: fourth }
  }
  if (fourth !== '' || rest.length > 0) return { page: 'unknown' }
  if (first === '') return { page: 'overview' }
  if (first === 'register' && second === '') return { page: 'register-app' }
  if (first === 'tx' && /^0x[0-9a-f]{64}$/.test(second) && third === '')
    return { page: 'transaction', txid: second }
  if (first === 'app' && id.test(second)) {
    if (third === '') return { page: 'app', app: second }
    if (third === 'mirror') return { page: 'register-mirror', app: second }
    if (third === 'fund') return { page: 'fund', app: second }
  }
  return { page: 'unknown' }
}

export function hrefOf(route: Exclude<Route, { page: 'unknown' }>): string {
  switch (route.page) {
    case 'overview':
      return '#/'
    case 'register-app':
      return '#/register'
    case 'app':
      return `#/app/${route.app}`
    case 'register-mirror':
      return `#/app/${route.app}/mirror`
    case 'fund':
      return `#/app/${route.app}/fund`
    case 'account':
      return `#/app/${route.app}/account${route.address ? `/${route.address}` : ''}`
    case 'transaction':
      return `#/tx/${route.txid}`
  }
}
