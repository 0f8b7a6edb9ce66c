import { webcrypto } from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto as never)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const day = 86_400_000

/** A certificate with its key, PEM, as `node:https` takes them. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface Authority {
  /** Its own certificate, for those who trust it. */
  readonly pem: string
  /** One that it signs for a host name; it has expired where `days` is negative. */
  issue(host: string, days: number): Promise<Certificate>
}

const newKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
type Keys = Awaited<ReturnType<typeof newKeys>>

async function pemOf({ privateKey }: Keys): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey)
  return `-----BEGIN PRIVATE KEY-----\n${Buffer.from(pkcs8).toString('base64')}\n-----END PRIVATE KEY-----`
}

const times = (days: number) => ({
  notBefore: new Date(Date.now() - 30 * day),
  notAfter: new Date(Date.now() + days * day),
})

/** For tests: an authority that nobody trusts who was not told to. */
export async function createAuthority(): Promise<Authority> {
  const keys = await newKeys()
  const own = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Authority of a test',
    ...times(30),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [new x509.BasicConstraintsExtension(true)],
  })
  let serial = 1
  return {
    pem: own.toString('pem'),
    async issue(host, days) {
      const leaf = await newKeys()
      const cert = await x509.X509CertificateGenerator.create({
        serialNumber: (++serial).toString(16).padStart(2, '0'),
        subject: `CN=${host}`,
        issuer: own.subject,
        ...times(days),
        signingAlgorithm: algorithm,
        publicKey: leaf.publicKey as never,
        signingKey: keys.privateKey as never,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
      })
      return { key: await pemOf(leaf), cert: cert.toString('pem') }
    },
  }
}

/** One that vouches for itself alone. */
export async function selfSigned(host: string): Promise<Certificate> {
  const keys = await newKeys()
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${host}`,
    ...times(30),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
  })
  return { key: await pemOf(keys), cert: cert.toString('pem') }
}
