import type { NetworkView } from '@understudy/protocol/api'
import { appId } from '@understudy/protocol/app'
import { threshold } from '@understudy/protocol/rules'
import { useState } from 'preact/hooks'
import { useDraft } from '../draft.ts'
import { formatMoney, unitOf } from '../money.ts'
import { Field } from '../part/field.tsx'
import { Loading } from '../part/loading.tsx'
import { type Proposal, Review } from '../part/review.tsx'
import { Title } from '../part/title.tsx'
import { Trouble } from '../part/trouble.tsx'
import { type AppDraft, type AppForm, assetOf, defaultForm, inAsset, readAppForm } from '../terms.ts'
import { useTheatre } from '../theatre.ts'
import { plural, spanOfBlocks } from '../time.ts'
import { blockNumber } from '../words.ts'

export function RegisterAppPage() {
  const { network } = useTheatre()
  return (
    <>
      <Title text="Register an app" />
      <p class="lede">
        Names your repository on chain, and the rules by which mirrors of it are paid. It costs the network
        fee and nothing else; whoever signs is the app's maintainer from then on.
      </p>
      {network.state === 'loading' && <Loading what="the chain" />}
      {network.state === 'failed' && (
        <Trouble what="The registry could not be read" reason={network.reason} />
      )}
      {network.state === 'ready' && <AppForms network={network.value} />}
    </>
  )
}

/** Blocks until the first epoch, unless the maintainer says otherwise: time to find operators. */
const leadBlocks = 144

function AppForms({ network }: { network: NetworkView }) {
  const [form, change, clear] = useDraft<AppForm>('app', {
    ...defaultForm,
    start: String(network.burnHeight + leadBlocks),
  })
  const [insist, setInsist] = useState(false)
  const [proposal, setProposal] = useState<Proposal>()
  const read = readAppForm(form, network.burnHeight)
  const problems = read.ok ? {} : read.problems
  const asset = assetOf(form)
  const unit = unitOf(asset)

  function onSubmit(event: Event): void {
    event.preventDefault()
    setInsist(true)
    if (read.ok) {
      setProposal(registration(read.value, network))
      return
    }
    const order = [...(event.currentTarget as HTMLFormElement).elements].map(({ id }) => id)
    document.getElementById(order.find((id) => id in read.problems) ?? '')?.focus()
  }

  if (proposal)
    return (
      <Review proposal={proposal} network={network} onBack={() => setProposal(undefined)} onSent={clear} />
    )

  type Text = Exclude<keyof AppForm, 'asset' | 'continent' | 'country' | 'network'>
  const field = (name: Text, label: string, more: Partial<Parameters<typeof Field>[0]> = {}) => (
    <Field
      name={name}
      label={label}
      value={form[name]}
      onInput={(value) => change({ [name]: value })}
      problem={problems[name]}
      insist={insist}
      {...more}
    />
  )
  const number = (name: Text, label: string, unit: string | undefined, hint: string) =>
    field(name, label, { unit, hint, numeric: true })
  const level = (name: 'continent' | 'country' | 'network', label: string) => (
    <label class="choice">
      <input
        type="checkbox"
        id={name}
        checked={form[name]}
        aria-describedby={problems.network ? 'levels-problem' : undefined}
        onChange={(event) => change({ [name]: event.currentTarget.checked })}
      />
      {label}
    </label>
  )
  const wrong = Object.keys(problems).length
  return (
    <form onSubmit={onSubmit} noValidate>
      <fieldset>
        <legend>The repository</legend>
        {field('pubkey', 'Your Nostr public key', {
          hint: 'The key that announces the repository (NIP-34): 64 hex digits, or npub1…',
        })}
        {field('d', 'Repository identifier', { hint: 'The d tag of that announcement, such as my-app.' })}
        {field('releaseKey', 'Release key', {
          hint: 'The key that signs releases. Leave it empty to use the one above.',
        })}
      </fieldset>

      <fieldset>
        <legend>What is paid</legend>
        <fieldset class="choices">
          <legend>In which money</legend>
          {(['stx', 'sbtc'] as const).map((choice) => (
            <label key={choice} class="choice">
              <input
                type="radio"
                name="asset"
                id={choice}
                checked={asset === choice}
                aria-describedby="asset-hint"
                onChange={() => change(inAsset(form, choice))}
              />
              {unitOf(choice)}
            </label>
          ))}
          <p class="hint" id="asset-hint">
            Fixed for ever: deposits, bonds and payments are all in it. Network fees are in STX either way.
          </p>
        </fieldset>
        <div class="pair">
          {number('budget', 'Budget of an epoch', unit, 'The most that one epoch pays out, fees included.')}
          {number(
            'cap',
            'Cap of an epoch',
            unit,
            'Fixed for ever: no later rules can set a budget above it.',
          )}
          {number('places', 'Places wanted', undefined, 'T: the budget is split over this many places.')}
          {number('floor', 'Availability floor', '%', 'A mirror below it earns nothing in that epoch.')}
          {number('minBond', 'Smallest bond', unit, 'What an operator must put at stake.')}
          {number(
            'domainBond',
            'Bond that counts',
            unit,
            'In one network together; more earns nothing more.',
          )}
        </div>
        <fieldset class="choices">
          <legend>What tells places apart</legend>
          {level('continent', 'Continent')}
          {level('country', 'Country')}
          {level('network', 'Network')}
          <p class="hint">
            Continents and countries must be proven, which takes many attesters near them. With few, take
            network alone.
          </p>
          {problems.network && (
            <p class="problem" id="levels-problem">
              {problems.network}
            </p>
          )}
        </fieldset>
      </fieldset>

      <fieldset>
        <legend>Who checks</legend>
        {field('attesters', 'Attester keys', {
          lines: 3,
          hint: read.ok
            ? `${threshold(read.value.terms.keys)} of ${read.value.terms.keys.length} must sign an outcome.`
            : 'One per line: an odd number, so that a majority always overlaps with every other.',
        })}
        <div class="pair">
          {number(
            'fee',
            'Fee of all attesters',
            unit,
            'Out of the budget; never more than a tenth of it is paid.',
          )}
          {number(
            'faults',
            'Attesters that may be wrong',
            undefined,
            'f: how many distances may be off before a claimed place falls.',
          )}
        </div>
      </fieldset>

      <fieldset>
        <legend>When</legend>
        <p class="hint">
          In burn blocks{network.chainId === 1 ? ', about ten minutes each' : ''}; the chain is at{' '}
          {blockNumber(network.burnHeight)}.
        </p>
        <div class="pair">
          {number('start', 'First epoch begins at', 'block', 'Leave operators time to bond before it.')}
          {number('length', 'Length of an epoch', 'blocks', inWords(form.length, network))}
          {number('notice', 'Notice before rules change', 'epochs', 'Fixed for ever; 3 or more.')}
          {number(
            'grace',
            'Grace for a new release',
            'blocks',
            'How long mirrors may still serve the one before.',
          )}
          {number('window', 'Settlement window', 'blocks', 'W: at most half an epoch.')}
          {number('challenge', 'Challenge time', 'blocks', 'C: from 6 to a quarter of the window.')}
          {number('claimPeriod', 'Claim period', 'blocks', inWords(form.claimPeriod, network))}
        </div>
      </fieldset>

      <p class="said" role="status">
        {insist && wrong > 0 ? `${plural(wrong, 'field')} above must be changed first.` : ''}
      </p>
      <p class="actions">
        <button type="submit" class="primary">
          Review the registration
        </button>
        <button type="button" class="plain" onClick={clear}>
          Start over
        </button>
      </p>
    </form>
  )
}

function inWords(blocks: string, network: NetworkView): string {
  const count = Number(blocks)
  return network.chainId === 1 && count > 0 && count <= 52_560
    ? `On mainnet ${spanOfBlocks(count)}.`
    : 'Mainnet has 144 a day.'
}

function registration({ coordinate, asset, schedule, terms }: AppDraft, network: NetworkView): Proposal {
  const d = coordinate.slice(71)
  return {
    title: `Register the app ${d}`,
    will: [
      `The repository ${coordinate} is registered, and this wallet becomes its maintainer.`,
      `Epoch 0 begins at burn ${blockNumber(schedule.start)} (now ${network.burnHeight}), and every epoch takes ${plural(schedule.length, 'block')}.`,
      `Each epoch pays at most ${formatMoney(terms.budget, asset)} over ${plural(terms.places, 'place')}, if the pool holds that much; ${threshold(terms.keys)} of ${plural(terms.keys.length, 'attester')} must sign what is paid.`,
      `Its money, ${unitOf(asset)}, its start, length, notice and the cap of ${formatMoney(schedule.cap, asset)} can never be changed; the rules can, after ${plural(schedule.notice, 'epoch')}.`,
    ],
    app: appId(coordinate),
    expect: { kind: 'app' },
    build: (calls, contracts) => calls.registerApp(contracts, { coordinate, asset, schedule, terms }),
  }
}
