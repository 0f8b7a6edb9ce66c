import type { AppView, MirrorView, NetworkView } from '@understudy/protocol/api'
import { useState } from 'preact/hooks'
import { useDraft } from '../draft.ts'
import { expectation, networksOf } from '../expectation.ts'
import { formatMoney, typedAmount, unitOf } from '../money.ts'
import { Caution } from '../part/caution.tsx'
import { Field } from '../part/field.tsx'
import { Loading } from '../part/loading.tsx'
import { Purse } from '../part/purse.tsx'
import { type Proposal, Review } from '../part/review.tsx'
import { Title } from '../part/title.tsx'
import { Trouble } from '../part/trouble.tsx'
import { Unaudited } from '../part/unaudited.tsx'
import { UnreadApp } from '../part/unread.tsx'
import { usePolled } from '../polled.ts'
import { hrefOf } from '../route.ts'
import { useTheatre } from '../theatre.ts'
import { plural } from '../time.ts'
import { readAmount, readEndpoint, readNodeKey } from '../typed.ts'

export function RegisterMirrorPage({ app: id }: { app: string }) {
  const { registry, network } = useTheatre()
  const apps = usePolled('apps', registry.apps)
  const mirrors = usePolled(`mirrors ${id}`, () => registry.mirrors(id))
  const app = apps.state === 'ready' ? apps.value.find((row) => row.app === id) : undefined
  const trouble = [apps, mirrors, network].find(({ state }) => state === 'failed')
  return (
    <>
      <p class="crumb">
        <a href={hrefOf({ page: 'app', app: id })}>{app?.name ?? 'App'}</a>
      </p>
      <Title text="Register a mirror" />
      {trouble?.state === 'failed' && (
        <Trouble what="The registry could not be read" reason={trouble.reason} />
      )}
      {apps.state === 'ready' && !app && <UnreadApp reason="not found" />}
      {apps.state === 'ready' && app && mirrors.state === 'ready' && network.state === 'ready' ? (
        <MirrorForm
          key={app.app}
          app={app}
          apps={apps.value}
          mirrors={mirrors.value}
          network={network.value}
        />
      ) : (
        !trouble && apps.state === 'loading' && <Loading what="the app" />
      )}
    </>
  )
}

interface Draft {
  nodeKey: string
  endpoint: string
  bond: string
  network: string
}

function MirrorForm(props: { app: AppView; apps: AppView[]; mirrors: MirrorView[]; network: NetworkView }) {
  const { app, apps, mirrors, network } = props
  const least = BigInt(app.rules.minBond)
  const initial: Draft = {
    nodeKey: '',
    endpoint: '',
    bond: typedAmount(least, app.asset),
    network: '',
  }
  const [draft, change, clear] = useDraft(`mirror.${app.app}`, initial)
  const [insist, setInsist] = useState(false)
  const [proposal, setProposal] = useState<Proposal>()
  const read = {
    nodeKey: readNodeKey(draft.nodeKey),
    endpoint: readEndpoint(draft.endpoint),
    bond: readAmount(draft.bond, app.asset, least),
  }
  const problem = (name: keyof typeof read) => {
    const field = read[name]
    return field.ok ? undefined : field.reason
  }

  function onSubmit(event: Event): void {
    event.preventDefault()
    setInsist(true)
    const { nodeKey, endpoint, bond } = read
    if (nodeKey.ok && endpoint.ok && bond.ok)
      setProposal(registration(app, { nodeKey: nodeKey.value, endpoint: endpoint.value, bond: bond.value }))
    else
      document
        .getElementById((Object.keys(read) as (keyof typeof read)[]).find((name) => !read[name].ok)!)
        ?.focus()
  }

  if (proposal)
    return (
      <Review proposal={proposal} network={network} onBack={() => setProposal(undefined)} onSent={clear} />
    )
  const networks = networksOf(mirrors)
  return (
    <form onSubmit={onSubmit} noValidate>
      <Unaudited />
      <Caution app={app} />
      <p>
        Run a node first (<code>understudy</code> has the commands): it makes its own key, which never leaves
        the server. Your wallet key never goes there.
      </p>
      <div class="field">
        <label for="app">App</label>
        <div class="input">
          <select
            id="app"
            value={app.app}
            onChange={(event) => {
              location.hash = hrefOf({ page: 'register-mirror', app: event.currentTarget.value })
            }}
          >
            {apps.map((row) => (
              <option key={row.app} value={row.app}>
                {row.name}
              </option>
            ))}
          </select>
        </div>
      </div>
      <Field
        name="nodeKey"
        label="Node key"
        value={draft.nodeKey}
        onInput={(nodeKey) => change({ nodeKey })}
        problem={problem('nodeKey')}
        insist={insist}
        hint="The public key that your node prints and shows at /.well-known/understudy.json: 64 hex digits, or npub1…"
      />
      <Field
        name="endpoint"
        label="Address"
        value={draft.endpoint}
        onInput={(endpoint) => change({ endpoint })}
        problem={problem('endpoint')}
        insist={insist}
        placeholder="https://mirror.example.org"
        hint="Where visitors and attesters reach it."
      />
      <Field
        name="bond"
        label="Bond"
        unit={unitOf(app.asset)}
        numeric
        value={draft.bond}
        onInput={(bond) => change({ bond })}
        problem={problem('bond')}
        insist={insist}
        hint={`At least ${formatMoney(least, app.asset)}. It stays yours, locked while the mirror is registered.`}
      />
      <Purse network={network} asset={app.asset} needs={read.bond.ok ? read.bond.value : undefined} />
      <fieldset>
        <legend>What to expect</legend>
        <div class="field">
          <label for="network">Your network</label>
          <div class="input">
            <select
              id="network"
              value={draft.network}
              onChange={(event) => change({ network: event.currentTarget.value })}
            >
              <option value="">One that no other mirror is in</option>
              {networks.map(({ network: name, count }) => (
                <option key={name} value={name}>
                  {name} ({plural(count, 'mirror')})
                </option>
              ))}
            </select>
          </div>
          <p class="hint">Only for this estimate: attesters find out by themselves where a mirror is.</p>
        </div>
        <ul class="sentences">
          {expectation(app, mirrors, draft.network, read.bond.ok ? read.bond.value : least).map(
            (sentence) => (
              <li key={sentence}>{sentence}</li>
            ),
          )}
        </ul>
      </fieldset>
      <p class="actions">
        <button type="submit" class="primary">
          Review the registration
        </button>
      </p>
    </form>
  )
}

function registration(app: AppView, mirror: { nodeKey: string; endpoint: string; bond: bigint }): Proposal {
  const bond = formatMoney(mirror.bond, app.asset)
  return {
    title: `Register a mirror of ${app.name}`,
    will: [
      `Exactly ${bond} leaves your wallet as the bond of this mirror; anything else makes the transaction fail.`,
      `This wallet becomes the mirror's owner: it is paid, and it alone can take the bond back, one epoch and its settlement after it asks to.`,
      `${mirror.endpoint} is announced as a mirror of ${app.name}. Its node must name this wallet in its own announcement before it can earn.`,
    ],
    app: app.app,
    expect: { kind: 'mirror', nodeKey: mirror.nodeKey },
    build: (calls, contracts, sender) =>
      calls.registerMirror(contracts, sender, { app: app.app, asset: app.asset, ...mirror }),
  }
}
