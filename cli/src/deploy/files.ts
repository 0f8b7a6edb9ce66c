import { appId } from '@understudy/protocol/app'
import { version } from '../version.ts'
import { imageValues, localOnly, type NodeVariable, nodeVariables, type Settings } from './settings.ts'

/** A file that `understudy init` writes. */
export interface DeployFile {
  /** Below the repository, with slashes. */
  readonly path: string
  /** The whole file; of a file with `merge`, its part of it. */
  readonly text: string
  /** `lines`: each line is added where it is missing. `block`: what stands between our two marks is replaced. */
  readonly merge?: 'lines' | 'block'
}

/** Everything that makes a repository one that others can fork and run, out of the node's own configuration schema. */
export function deployFiles(settings: Settings): DeployFile[] {
  const variables = nodeVariables(settings)
  return [
    { path: 'understudy.json', text: json(settings) },
    { path: 'Dockerfile', text: dockerfile },
    { path: '.dockerignore', text: '# The image holds the node alone; what it serves comes from git.\n*\n' },
    { path: 'compose.yaml', text: compose },
    { path: 'deploy/Caddyfile', text: caddyfile },
    { path: 'deploy/understudy.service', text: systemdUnit },
    { path: 'app.json', text: json(herokuApp(settings, variables)) },
    {
      path: 'heroku.yml',
      text: '# What app.json needs to build the image.\nbuild:\n  docker:\n    web: Dockerfile\n',
    },
    { path: 'render.yaml', text: renderBlueprint(variables) },
    { path: '.env.example', text: envExample(variables) },
    { path: '.gitignore', text: '.env\ndata/\n', merge: 'lines' },
    { path: 'README.md', text: readmeBlock(settings), merge: 'block' },
  ]
}

/** Marks of the part of a README that is ours. */
export const marks = ['<!-- understudy:begin -->', '<!-- understudy:end -->'] as const

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

/** Quotes as JSON does, which YAML reads as well. */
const quoted = (text: string): string => JSON.stringify(text)

const healthCheck =
  "fetch('http://127.0.0.1:' + process.env.PORT + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"

const dockerfile = `# A mirror of this app. Its state may be lost at any time: the node rebuilds it from git, relays and other mirrors.
FROM node:22-bookworm-slim

RUN apt-get update \\
  && apt-get install --yes --no-install-recommends ca-certificates git \\
  && rm -rf /var/lib/apt/lists/* \\
  && npm install --global understudy@${version} \\
  && npm cache clean --force \\
  && install --directory --owner node --group node --mode 0700 ${imageValues.DATA_DIR}

ENV NODE_ENV=production ${Object.entries(imageValues)
  .map(([name, value]) => `${name}=${value}`)
  .join(' ')}
WORKDIR ${imageValues.DATA_DIR}
VOLUME ${imageValues.DATA_DIR}
USER node
EXPOSE ${imageValues.PORT}
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["node", "--eval", ${quoted(healthCheck)}]
CMD ["understudy", "node"]
`

const compose = `# docker compose up --detach: the node, and Caddy in front of it, which fetches and renews the certificate.
services:
  node:
    build: .
    restart: unless-stopped
    env_file: .env
    environment:
${Object.entries(imageValues)
  .map(([name, value]) => `      ${name}: ${quoted(value)}`)
  .join('\n')}
    volumes:
      - data:${imageValues.DATA_DIR}
    read_only: true
    tmpfs:
      - /tmp
    cap_drop:
      - ALL
    security_opt:
      - no-new-privileges:true
    stop_grace_period: 30s
    logging:
      options:
        max-size: 10m
        max-file: "3"
  caddy:
    image: caddy:2
    restart: unless-stopped
    depends_on:
      - node
    environment:
      PUBLIC_URL: \${PUBLIC_URL:?set it in .env}
      NODE_ADDRESS: node:${imageValues.PORT}
    ports:
      - "80:80"
      - "443:443"
      - "443:443/udp"
    volumes:
      - ./deploy/Caddyfile:/etc/caddy/Caddyfile:ro
      - certificates:/data
volumes:
  data:
  certificates:
`

const caddyfile = `# TLS for a mirror: Caddy fetches a certificate for the host of PUBLIC_URL and passes everything on, WebSockets too.
{$PUBLIC_URL} {
	reverse_proxy {$NODE_ADDRESS:127.0.0.1:${imageValues.PORT}} {
		# A node that restarts is waited for rather than reported as gone.
		lb_try_duration 5s
	}
}
`

const systemdUnit = `# A mirror without containers. As root:
#   install -D -m 0600 .env /etc/understudy/node.env
#   install -m 0644 deploy/understudy.service /etc/systemd/system/
#   systemctl enable --now understudy
[Unit]
Description=Understudy fallback node
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart=/usr/bin/env understudy node
EnvironmentFile=/etc/understudy/node.env
Environment=NODE_ENV=production DATA_DIR=/var/lib/understudy HOST=127.0.0.1 PORT=${imageValues.PORT}
Restart=always
RestartSec=5
TimeoutStopSec=30
LimitNOFILE=65536

DynamicUser=yes
StateDirectory=understudy
StateDirectoryMode=0700
WorkingDirectory=/var/lib/understudy
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
# A build runs in namespaces of its own, without a network.
RestrictNamespaces=user net mnt pid
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`

/** Those that a platform asks for: the local network's and the image's own are left out. */
const asked = (variables: readonly NodeVariable[]) =>
  variables.filter(({ name, source }) => source !== 'image' && !localOnly.has(name))

function herokuApp({ coordinate, repository }: Settings, variables: readonly NodeVariable[]) {
  const env = asked(variables).map(({ name, purpose, required, value }) => [
    name,
    { description: purpose, required: required || value !== '', ...(value ? { value } : {}) },
  ])
  return {
    name: 'Understudy mirror',
    description: `A fallback node of ${coordinate.split(':')[2]}: it serves the signed release when the main server does not.`,
    ...(repository ? { repository } : {}),
    keywords: ['understudy', 'mirror', 'nostr', 'stacks'],
    stack: 'container',
    formation: { web: { quantity: 1, size: 'basic' } },
    env: Object.fromEntries(env),
  }
}

function renderBlueprint(variables: readonly NodeVariable[]): string {
  const rows = asked(variables)
    .filter(({ required, value }) => required || value !== '')
    .map(
      ({ name, value }) =>
        `      - key: ${name}\n        ${value ? `value: ${quoted(value)}` : 'sync: false'}`,
    )
  const optional = asked(variables)
    .filter(({ required, value }) => !required && value === '')
    .map(({ name, purpose }) => `      # ${name}: ${purpose}`)
  return `# A mirror on Render. Its disk may be empty after every start: the node rebuilds itself.
services:
  - type: web
    name: understudy-mirror
    runtime: docker
    dockerfilePath: ./Dockerfile
    plan: starter
    healthCheckPath: /healthz
    envVars:
${rows.join('\n')}
      # Set these in the dashboard where you want them:
${optional.join('\n')}
`
}

function envExample(variables: readonly NodeVariable[]): string {
  const row = ({ name, purpose, required, fallback, value, source }: NodeVariable) => {
    const filled = required || value !== ''
    const note = localOnly.has(name) ? '' : source === 'image' ? ' (the image and the unit set it)' : ''
    return `# ${purpose}${note}\n${filled ? '' : '# '}${name}=${value || fallback}\n`
  }
  const own = variables.filter(({ required, value }) => required && value === '')
  const network = variables.filter(({ value }) => value !== '')
  const rest = variables.filter(({ required, value }) => !required && value === '')
  return [
    '# A mirror of this app. Copy this file to .env, fill in the first part, and run: understudy node',
    '',
    '# Yours, all needed',
    '',
    ...own.map(row),
    '# The network’s: leave as it is',
    '',
    ...network.map(row),
    '# As you like',
    '',
    ...rest.map(row),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

function readmeBlock({ coordinate, repository, api }: Settings): string {
  const id = appId(coordinate)
  const site = api ? `${api}/#/app/${id}` : undefined
  const badge = (name: string) => `[![${name.replace('-', ' ')}](${api}/badge/${id}/${name}.svg)](${site})`
  const badges = api ? ['backup-servers', 'code-integrity', 'uptime', 'reward-pool'].map(badge) : []
  const buttons = repository
    ? [
        `[![Deploy to Heroku](https://www.herokucdn.com/deploy/button.svg)](https://www.heroku.com/deploy?template=${repository})`,
        `[![Deploy to Render](https://render.com/images/deploy-to-render-button.svg)](https://render.com/deploy?repo=${repository})`,
      ]
    : []
  return [
    marks[0],
    ...badges,
    ...(badges.length > 0 ? [''] : []),
    'This app survives its main server: anybody can run a mirror of it, and is paid for that.',
    'Fork this repository, then deploy your fork, or copy `.env.example` to `.env` on a server of yours,',
    'fill in three lines and run `docker compose up --detach`, or `npx understudy node`.',
    ...(buttons.length > 0 ? ['', ...buttons] : []),
    marks[1],
    '',
  ].join('\n')
}
