import { constants, type Stats } from 'node:fs'
import { access, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { validateStacksAddress } from '@stacks/transactions'
import { logHead } from '@understudy/chain/logReader'
import { bondAt, type ChainApp, rulesAt } from '@understudy/chain/state'
import { checkCloneUrl } from '@understudy/git/clone-url'
import { requireGit } from '@understudy/git/command'
import { listenHost } from '@understudy/host/config'
import { type DialReason, dial, type Reply } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import { type nodeEnv, relayUrlOf } from '@understudy/node/config'
import { guardedConnect } from '@understudy/node/relay/siblings'
import { appId } from '@understudy/protocol/app'
import { epochAt, epochStart } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { type MirrorAnnouncement, parseMirror } from '@understudy/protocol/mirror'
import { formatMoney } from '@understudy/protocol/money'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import type { z } from 'zod'
import type { Io } from '../command.ts'
import { freeBytes } from '../disk.ts'
import { newestRelease } from '../history.ts'
import { type Chain, openChain } from '../network.ts'
import { type NodeSelf, parseSelf, selfPath } from '../node.ts'
import { vantageHere } from '../vantage.ts'

export type NodeConfig = z.output<typeof nodeEnv>

/** What is wrong, and what mends it. */
export interface Fault {
  readonly problem: string
  readonly fix: string
}

export type Finding = { readonly ok: true; readonly detail: string } | ({ readonly ok: false } & Fault)

/** What the checks before have found out. */
export interface Known {
  readonly config: NodeConfig
  readonly io: Io
  chain?: Chain
  app?: ChainApp
  vantage?: Vantage
  self?: NodeSelf
  reply?: Reply
  /** What is wrong with TLS, as OpenSSL calls it. */
  tls?: string
}

export interface Check {
  readonly name: string
  /** Checks without which this one says nothing. */
  readonly needs: readonly string[]
  run(known: Known): Promise<Finding>
}

const fine = (detail: string): Finding => ({ ok: true, detail })
const fault = (problem: string, fix: string): Finding => ({ ok: false, problem, fix })

/** Least free disk, bytes. */
const leastFree = 256 * 1024 ** 2
/** Most that the clock may be off, ms: challenges and events carry the second. */
const mostSkew = 30_000
const timeoutMs = 10_000

const words: Partial<Record<DialReason, string>> = {
  refused: 'nothing listens there',
  timeout: 'no answer within 10 s',
  unreachable: 'no route to it',
  reset: 'the connection was cut',
  'own-network': 'this machine has no route to it',
}

/** What is wrong with a certificate, and what mends it. */
function tlsFault(code: string, host: string): readonly [problem: string, fix: string] {
  const caddy = 'Caddy fetches one when ports 80 and 443 lead to it: docker compose logs caddy'
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return [`the certificate for ${host} is self-signed, and no browser trusts it`, caddy]
    case 'CERT_HAS_EXPIRED':
      return [`the certificate for ${host} has expired`, `renew it. ${caddy}`]
    case 'CERT_NOT_YET_VALID':
      return [`the certificate for ${host} is not valid yet`, 'are the clocks right, here and there?']
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return [
        `the certificate there is not for ${host}`,
        `set PUBLIC_URL to the name that it is for, or get one for ${host}: ${caddy}`,
      ]
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return [
        `nobody whom browsers trust vouches for the certificate for ${host}`,
        'let the server send the whole chain (fullchain.pem), from an authority that browsers know',
      ]
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'EPROTO':
      return [`what answers for ${host} does not speak TLS`, 'put Caddy before the node: compose.yaml has it']
    default:
      return [`no TLS with ${host}${code && ` (${code})`}`, `does it have a certificate? ${caddy}`]
  }
}

/** Asks the node from outside, as visitors do: its public name, an address that may be dialled. */
function ask(vantage: Vantage, url: string, method: 'GET' | 'HEAD' = 'GET') {
  return dial(url, vantage, {
    method,
    timeoutMs,
    redirects: 0,
    maxBytes: 1024 * 1024,
    headers: { origin: 'https://visitor.example' },
  })
}

const hostOf = (url: string) => new URL(url).hostname.replace(/^\[|\]$/g, '')

/** In the order in which one stands on the other: this machine, the chain, the way in, the node, what the network says of it. */
export const checks: readonly Check[] = [
  {
    name: 'folder',
    needs: [],
    async run({ config, io }) {
      const folder = resolve(io.cwd, config.DATA_DIR)
      const probe = join(folder, `.doctor-${process.pid}`)
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        await writeFile(probe, 'x', { flush: true })
        await rm(probe)
        return fine(`${folder} takes state`)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        return fault(
          `DATA_DIR ${folder} cannot be written (${code})`,
          `let this user own it: chown -R "$(id -u)" ${folder}; or name another DATA_DIR`,
        )
      }
    },
  },
  {
    name: 'disk',
    needs: [],
    async run({ config, io }) {
      const folder = resolve(io.cwd, config.DATA_DIR)
      const free = await (io.freeBytes ?? freeBytes)(folder)
      const mib = (bytes: number) => `${Math.floor(bytes / 1024 ** 2)} MiB`
      return free < leastFree
        ? fault(
            `only ${mib(free)} are free for ${folder}, of ${mib(leastFree)} at least`,
            'free some space, or name a DATA_DIR on another disk',
          )
        : fine(`${mib(free)} free`)
    },
  },
  {
    name: 'key',
    needs: ['folder'],
    async run({ config, io }) {
      const file = join(resolve(io.cwd, config.DATA_DIR), 'node.key')
      const found: Stats | undefined = await stat(file).catch(() => undefined)
      if (!found) return fine('not here: made at the first start, or kept where the node runs')
      if (process.platform !== 'win32' && (found.mode & 0o077) !== 0)
        return fault(`${file} can be read by others`, `chmod 600 ${file}`)
      const readable = await access(file, constants.R_OK).then(
        () => true,
        () => false,
      )
      const text = readable ? (await readFile(file, 'utf8')).trim() : ''
      return /^[0-9a-f]{64}$/.test(text) || text.startsWith('ncryptsec1')
        ? fine(`${file} is its owner's alone`)
        : fault(
            `${file} holds no key`,
            'put the backup of the key there, or remove the file and then: understudy mirror replace-key',
          )
    },
  },
  {
    name: 'git',
    needs: [],
    async run() {
      try {
        await requireGit()
        return fine('git is new enough')
      } catch (error) {
        return fault((error as Error).message, 'install git 2.37 or newer, for instance: apt-get install git')
      }
    },
  },
  {
    name: 'chain',
    needs: [],
    async run(known) {
      const url = known.config.STACKS_API_URL
      try {
        known.chain = await openChain({ 'stacks-url': url, deployer: known.config.DEPLOYER }, known.io)
        return fine(`${url} is at burn block ${known.chain.info.burnHeight}`)
      } catch (error) {
        return fault(
          `STACKS_API_URL: ${(error as Error).message}`,
          'is it right, and may this machine connect to it?',
        )
      }
    },
  },
  {
    name: 'clock',
    needs: ['chain'],
    async run({ config, io }) {
      const before = io.now()
      const response = await fetch(`${config.STACKS_API_URL.replace(/\/+$/, '')}/v2/info`, {
        signal: AbortSignal.timeout(timeoutMs),
      })
      await response.body?.cancel()
      const theirs = Date.parse(response.headers.get('date') ?? '')
      if (Number.isNaN(theirs)) return fine('the chain tells no time')
      const skew = Math.round((before + io.now()) / 2 - theirs)
      return Math.abs(skew) > mostSkew
        ? fault(
            `the clock is ${Math.abs(Math.round(skew / 1_000))} s ${skew > 0 ? 'ahead' : 'behind'}`,
            'let it be set, for instance: timedatectl set-ntp true',
          )
        : fine('within 30 s of the chain API’s')
    },
  },
  {
    name: 'contracts',
    needs: ['chain'],
    async run({ config, chain }) {
      try {
        for (const contract of Object.values(chain!.contracts))
          await logHead(chain!.client, contract, appId(config.APP))
        return fine(`deployed by ${config.DEPLOYER}`)
      } catch {
        return fault(
          `DEPLOYER: ${config.DEPLOYER} has not deployed the contracts on this chain`,
          'take DEPLOYER and STACKS_API_URL from the master repository’s .env.example',
        )
      }
    },
  },
  {
    name: 'app',
    needs: ['contracts'],
    async run(known) {
      const id = appId(known.config.APP)
      known.app = await known.chain!.app(id)
      if (!known.app)
        return fault(
          `APP: ${known.config.APP} is not registered`,
          'take APP from the master repository’s .env.example',
        )
      return fine(`${id}, maintained by ${known.app.maintainer}`)
    },
  },
  {
    name: 'wallet',
    needs: ['chain'],
    async run({ config, chain }) {
      const address = config.STX_ADDRESS
      const mainnet = chain!.info.chainId === 1
      if (!validateStacksAddress(address.split('.')[0]!))
        return fault(
          `STX_ADDRESS: ${address} is mistyped: its checksum is wrong`,
          'copy it again; understudy keys show prints yours',
        )
      return /^S[PM]/.test(address) === mainnet
        ? fine(address)
        : fault(
            `STX_ADDRESS: ${address} is of ${mainnet ? 'a test network' : 'mainnet'}, the chain is not`,
            'understudy keys show prints both forms',
          )
    },
  },
  {
    name: 'repository',
    needs: ['git', 'chain'],
    async run(known) {
      const vantage = await vantageOf(known)
      const url = known.config.REPOSITORY_URL
      const checked = await checkCloneUrl(url, vantage)
      if (!checked.ok)
        return fault(`REPOSITORY_URL: ${checked.reason}`, 'give the https clone URL of your fork')
      const reply = await ask(
        vantage,
        `${checked.value.url.replace(/\/+$/, '')}/info/refs?service=git-upload-pack`,
      )
      if (!reply.ok)
        return fault(
          `REPOSITORY_URL: ${words[reply.reason] ?? reply.reason}`,
          'is your fork public, and the URL right?',
        )
      const type = reply.headers['content-type'] ?? ''
      return reply.status === 200 && type.startsWith('application/x-git-upload-pack-advertisement')
        ? fine(`${url} can be cloned`)
        : fault(
            `REPOSITORY_URL: ${url} answers ${reply.status} and is no git repository`,
            'is your fork public, and the URL right?',
          )
    },
  },
  {
    name: 'dns',
    needs: ['chain'],
    async run(known) {
      const host = hostOf(known.config.PUBLIC_URL)
      if (isIP(host)) return fine(`${host} is an address`)
      const vantage = await vantageOf(known)
      const addresses = await vantage.resolve(host).catch(() => [])
      return addresses.length > 0
        ? fine(`${host} is ${addresses.join(', ')}`)
        : fault(
            `PUBLIC_URL: ${host} has no address`,
            `add an A or AAAA record for ${host}, and wait until it shows`,
          )
    },
  },
  {
    name: 'address',
    needs: ['dns'],
    async run(known) {
      const vantage = await vantageOf(known)
      const host = hostOf(known.config.PUBLIC_URL)
      const addresses = isIP(host) ? [host] : await vantage.resolve(host)
      const bad = addresses.find((address) => !vantage.admit(address))
      return bad
        ? fault(
            `PUBLIC_URL: attesters do not dial ${bad}`,
            'give the server a public address, and let the name lead to it alone',
          )
        : fine('attesters may dial it')
    },
  },
  {
    name: 'port',
    needs: [],
    async run({ config }) {
      if (config.PORT === 0) return fine('any free one')
      const host = listenHost(config)
      const taken = await new Promise<boolean>((done) => {
        const server = createServer()
        server.once('error', (error: NodeJS.ErrnoException) => done(error.code === 'EADDRINUSE'))
        server.listen(config.PORT, host, () => server.close(() => done(false)))
      })
      if (!taken) return fine(`${config.PORT} is free`)
      const at = host === '0.0.0.0' ? '127.0.0.1' : host
      const ours = await fetch(`http://${isIP(at) === 6 ? `[${at}]` : at}:${config.PORT}${selfPath}`, {
        signal: AbortSignal.timeout(timeoutMs),
      })
        .then(async (response) => parseSelf(await response.text()) !== undefined)
        .catch(() => false)
      return ours
        ? fine(`${config.PORT} is the node's`)
        : fault(`PORT: ${config.PORT} is taken by another program`, 'stop it, or choose another PORT')
    },
  },
  {
    name: 'reach',
    needs: ['address'],
    async run(known) {
      const url = known.config.PUBLIC_URL + selfPath
      const reply = await ask(await vantageOf(known), url)
      if (reply.ok) {
        known.reply = reply
        return fine(`${known.config.PUBLIC_URL} answers`)
      }
      if (reply.reason === 'tls') {
        if (reply.code) known.tls = reply.code
        return fine('it answers, though not as HTTPS')
      }
      if (reply.reason === 'scheme')
        return fault(
          `PUBLIC_URL: ${known.config.PUBLIC_URL} is not https`,
          'put Caddy before the node: compose.yaml has it',
        )
      return fault(
        `PUBLIC_URL: ${words[reply.reason] ?? reply.reason}`,
        'start the node, and open ports 80 and 443 in the firewall',
      )
    },
  },
  {
    name: 'tls',
    needs: ['reach'],
    async run({ config, reply, tls = '' }) {
      if (reply)
        return fine(
          config.PUBLIC_URL.startsWith('https:')
            ? 'the certificate is valid'
            : 'none: the local network alone takes plain HTTP',
        )
      const [problem, fix] = tlsFault(tls, hostOf(config.PUBLIC_URL))
      return fault(`PUBLIC_URL: ${problem}`, fix)
    },
  },
  {
    name: 'node',
    needs: ['tls'],
    async run(known) {
      const { config, reply, io } = known
      const self = reply?.status === 200 ? parseSelf(Buffer.from(reply.body).toString('utf8')) : undefined
      if (!self)
        return fault(
          `PUBLIC_URL: what answers there is no node (HTTP ${reply?.status})`,
          'let the proxy pass everything on to the node',
        )
      if (self.app !== appId(config.APP))
        return fault('PUBLIC_URL: the node there serves another app', 'set APP, and start it again')
      if (self.stx !== config.STX_ADDRESS)
        return fault(
          `PUBLIC_URL: the node there pays ${self.stx}, not ${config.STX_ADDRESS}`,
          'set STX_ADDRESS, and start it again',
        )
      known.self = self
      const { getPublicKey } = await import('nostr-tools/pure')
      const text = await readFile(join(resolve(io.cwd, config.DATA_DIR), 'node.key'), 'utf8').catch(() => '')
      const here = /^[0-9a-f]{64}$/.test(text.trim())
        ? getPublicKey(Buffer.from(text.trim(), 'hex'))
        : self.nodeKey
      return here === self.nodeKey
        ? fine(`its key is ${self.nodeKey}`)
        : fault(
            `the node at PUBLIC_URL has another key than DATA_DIR: ${self.nodeKey}`,
            'stop the other node, or let DATA_DIR be where its state is',
          )
    },
  },
  {
    name: 'cors',
    needs: ['node'],
    async run({ reply }) {
      return reply!.headers['access-control-allow-origin'] === '*'
        ? fine('visitors of the main server may read it')
        : fault(
            'the answers lack access-control-allow-origin: *, which the node sets',
            'let the proxy pass on the node’s headers unchanged',
          )
    },
  },
  {
    name: 'websocket',
    needs: ['node'],
    async run(known) {
      const url = known.config.PUBLIC_RELAY_URL ?? relayUrlOf(known.config.PUBLIC_URL)
      const connect = guardedConnect(await vantageOf(known))
      const opened = await new Promise<boolean>((done) => {
        try {
          const socket = connect(url)
          socket.once('open', () => {
            socket.close()
            done(true)
          })
          socket.once('error', () => done(false))
        } catch {
          done(false)
        }
      })
      return opened
        ? fine(`${url} is open`)
        : fault(`its relay at ${url} takes no WebSocket`, 'let the proxy pass on the Upgrade header')
    },
  },
  {
    name: 'relays',
    needs: [],
    async run({ config }) {
      const verify = await loadVerify()
      const silent = await Promise.all(
        config.RELAYS.map(async (url) => {
          const relays = openRelays([url], { verify })
          try {
            await relays.query([{ kinds: [kinds.mirror], limit: 1 }], { timeoutMs })
            return relays.status().every(({ state }) => state === 'open') ? undefined : url
          } finally {
            relays.close()
          }
        }),
      )
      const names = silent.filter((url) => url !== undefined)
      return names.length > 0
        ? fault(`RELAYS: ${names.join(', ')} cannot be reached`, 'name others, or open the firewall for them')
        : fine(`${config.RELAYS.length} answer`)
    },
  },
  {
    name: 'announcement',
    needs: ['node', 'relays'],
    async run({ config, self }) {
      const verify = await loadVerify()
      const lacking: string[] = []
      let said: MirrorAnnouncement | undefined
      for (const url of config.RELAYS) {
        const relays = openRelays([url], { verify })
        try {
          const events = await relays.query([{ kinds: [kinds.mirror], authors: [self!.nodeKey] }], {
            timeoutMs,
          })
          const read = events
            .map(parseMirror)
            .flatMap((one) => (one.ok && one.value.app === self!.app ? [one.value] : []))
          if (read.length === 0) lacking.push(url)
          said = read[0] ?? said
        } finally {
          relays.close()
        }
      }
      if (lacking.length > 0)
        return fault(
          `RELAYS: ${lacking.join(', ')} does not hold what the node announces`,
          'does the relay take its writes? Name another, and start the node again',
        )
      return fine(`every relay holds it, for ${said?.stx}`)
    },
  },
  {
    name: 'release',
    needs: ['node', 'relays', 'app'],
    async run({ config, self, app, chain }) {
      const relays = openRelays(config.RELAYS, { verify: await loadVerify() })
      try {
        const rules =
          rulesAt(app!, Math.max(0, epochAt(app!.schedule, chain!.info.burnHeight))) ?? app!.rules.at(-1)!
        const newest = await newestRelease(relays, config.APP, rules.releaseKey)
        if (!newest)
          return fault('the relays hold no release of this app', 'ask its maintainer for: understudy release')
        if (self!.seq === null)
          return fault('the node serves no release yet', 'give it a minute; its log says what it waits for')
        return self!.seq >= newest.seq
          ? fine(`it serves release ${self!.seq}`)
          : fault(
              `the node serves release ${self!.seq}, the newest is ${newest.seq}`,
              'sync your fork with the master repository',
            )
      } finally {
        relays.close()
      }
    },
  },
  {
    name: 'mirror',
    needs: ['node', 'app'],
    async run({ config, self, app }) {
      const mirror = mirrorOf(app!, self!, config)
      if (!mirror)
        return fault(
          `the chain names no mirror of ${config.STX_ADDRESS} with the node's key`,
          'understudy mirror register',
        )
      return mirror.endpoint.replace(/\/+$/, '') === config.PUBLIC_URL
        ? fine(`mirror ${mirror.id}, bound both ways`)
        : fault(
            `the chain says that mirror ${mirror.id} is at ${mirror.endpoint}`,
            'understudy mirror register tells it the new endpoint',
          )
    },
  },
  {
    name: 'bond',
    needs: ['mirror'],
    async run({ config, self, app, chain }) {
      const mirror = mirrorOf(app!, self!, config)!
      if (mirror.unbonding !== null)
        return fault(
          `the bond of mirror ${mirror.id} is being taken back`,
          'register another mirror to go on earning: understudy mirror register',
        )
      const next = Math.max(0, epochAt(app!.schedule, chain!.info.burnHeight) + 1)
      const counts = bondAt(mirror, epochStart(app!.schedule, Math.max(0, next - 1))) > 0n
      return fine(
        `${formatMoney(mirror.bond, app!.asset)}, ${counts ? 'counting' : `counting from epoch ${next} on`}`,
      )
    },
  },
]

function mirrorOf(app: ChainApp, self: NodeSelf, config: NodeConfig) {
  return [...app.mirrors.values()].find(
    ({ nodeKey, owner, withdrawn, retired }) =>
      nodeKey === self.nodeKey && owner === config.STX_ADDRESS && !withdrawn && !retired,
  )
}

async function vantageOf(known: Known): Promise<Vantage> {
  known.vantage ??= await vantageHere(known.io)
  return known.vantage
}
