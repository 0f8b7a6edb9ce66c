import { postConditionToHex } from '@stacks/transactions'
import { balanceOf } from '@understudy/chain/balance'
import { changeRules, fund, registerApp, registerMirror, type Terms } from '@understudy/chain/calls'
import { sbtcOf } from '@understudy/chain/contracts'
import { addressOf } from '@understudy/chain/transactions'
import { appId, coordinateOf } from '@understudy/protocol/app'
import type { Asset } from '@understudy/protocol/money'
import { attesterKey } from '@understudy/protocol/rules'
import { npubEncode } from 'nostr-tools/nip19'
import { generateSecretKey, getPublicKey } from 'nostr-tools/pure'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { chromiumFlags, findChromium } from './browser/chromium.ts'
import { devnetKey, type Network, openNetwork } from './browser/network.ts'
import { hostSite } from './browser/site.ts'
import { openStage, overflows, type Stage, violations } from './browser/stage.ts'
import { installWallet, type TestWallet, walletFee } from './browser/wallet.ts'

const stx = 1_000_000n
const newKey = () => getPublicKey(generateSecretKey())

let network: Network
let browser: Browser
const stages: Stage[] = []

beforeAll(async () => {
  const executablePath = findChromium()
  network = await openNetwork()
  browser = await chromium.launch({ executablePath, args: chromiumFlags })
})

afterEach(async () => {
  const complaints = stages.flatMap((stage) => stage.complaints)
  await Promise.all(stages.splice(0).map((stage) => stage.close()))
  expect(complaints).toEqual([])
})

afterAll(async () => {
  await browser?.close()
  await network?.stop()
})

/** A person with a wallet in front of the page. */
async function visit(
  account: string,
  privateKey = devnetKey(account),
): Promise<{ page: Page; wallet: TestWallet }> {
  const stage = await openStage(browser)
  stages.push(stage)
  const wallet = await installWallet(stage.context, network, privateKey)
  return { page: stage.page, wallet }
}

const newTerms = (): Terms => ({
  budget: 90n * stx,
  keys: [newKey(), newKey(), newKey()].map(attesterKey).sort(),
  places: 3,
  levels: ['network'],
  floor: 900_000,
  domainBond: 500n * stx,
  fee: 3n * stx,
  grace: 5,
  minBond: 100n * stx,
  faults: 1,
  window: 30,
  challenge: 6,
  claimPeriod: 600,
  releaseKey: newKey(),
  minSeq: 0,
})

/** An app that is registered already, by a transaction of its maintainer. */
async function registeredApp(name: string, startsIn = 500, asset: Asset = 'stx'): Promise<string> {
  const coordinate = coordinateOf(newKey(), name)
  const { burnHeight } = await network.client.info()
  const call = registerApp(network.contracts, {
    coordinate,
    asset,
    schedule: { start: burnHeight + startsIn, length: 60, notice: 3, cap: 1_000n * stx },
    terms: newTerms(),
  })
  await network.send(call, devnetKey('maintainer'))
  const app = appId(coordinate)
  // The registry follows the chain, a little behind: a page that came too early would be told 404.
  const known = async () => (await fetch(`${network.apiUrl}/api/apps/${app}`)).ok
  await vi.waitUntil(known, { timeout: 60_000, interval: 100 })
  return app
}

async function registeredMirror(app: string, account: string, nodeKey = newKey()): Promise<string> {
  const key = devnetKey(account)
  const owner = addressOf(key, network.chainId)
  const mirror = { app, nodeKey, endpoint: 'https://mirror.example.org', bond: 100n * stx }
  await network.send(registerMirror(network.contracts, owner, mirror), key)
  return nodeKey
}

const open = (page: Page, hash: string) => page.goto(`${network.apiUrl}/${hash}`)
const heading = (page: Page, name: string | RegExp) => page.getByRole('heading', { level: 1, name }).waitFor()
const button = (page: Page, name: string) => page.getByRole('button', { name }).click()
const text = (page: Page, what: string | RegExp) => page.getByText(what).first().waitFor()

/** In the picker that the wallet library shows, once per browser. */
async function chooseWallet(page: Page): Promise<void> {
  const picker = page.locator('connect-modal')
  await picker.getByText('Test Wallet').waitFor()
  await picker.getByRole('button', { name: 'Connect' }).first().click()
}

/** Signs what is under review, waits for the block, and for the page to say that it is in. */
async function signAndConfirm(page: Page): Promise<void> {
  await button(page, 'Sign in your wallet')
  await text(page, 'The wallet has sent it; it waits for a block.')
  await network.mine()
  await text(page, /It is in Stacks block/)
}

describe('the page in a real browser', { timeout: 300_000 }, () => {
  it('registers an app, then a mirror with its bond, then funds the pool, and shows each as the registry has it', async () => {
    const { page, wallet } = await visit('operator1')
    await open(page, '')
    await heading(page, 'The show goes on when the server dies.')

    await page.getByRole('navigation').getByRole('link', { name: 'Register an app' }).click()
    await page.getByLabel('Your Nostr public key').fill(npubEncode(newKey()))
    await page.getByLabel('Repository identifier').fill('footlights')
    await page.getByLabel('Attester keys').fill([newKey(), newKey(), newKey()].join('\n'))
    // Every bound that the form knows, at its limit: the contract must take what the form takes.
    const limits = {
      'Budget of an epoch': '1000',
      'Fee of all attesters': '1000',
      'Smallest bond': '120',
      'Bond that counts': '120',
      'Availability floor': '100',
      'Attesters that may be wrong': '2',
      'Length of an epoch': '48',
      'Settlement window': '24',
      'Challenge time': '6',
      'Claim period': '48',
      'Grace for a new release': '52560',
    }
    for (const [label, value] of Object.entries(limits)) await page.getByLabel(label).fill(value)
    await button(page, 'Review the registration')
    await chooseWallet(page)
    await text(page, 'Nothing but the fee may move.')
    await signAndConfirm(page)
    await text(page, 'is registered. Next:')
    expect(wallet.asked.at(-1)).toMatchObject({ functionName: 'register-app', postConditionMode: 'deny' })
    expect(wallet.asked.at(-1)!.postConditions).toEqual([])

    await page.getByRole('link', { name: 'footlights', exact: true }).click()
    await heading(page, 'footlights')
    await text(page, 'Nobody mirrors this app yet')
    await text(page, '2 of 3 attesters must sign')

    await page.getByRole('link', { name: 'Register a mirror' }).click()
    await page.getByLabel('Node key').fill(newKey())
    await page.getByLabel('Address').fill('https://footlights.example.org')
    await page.getByLabel('Bond').fill('120')
    await button(page, 'Review the registration')
    await text(page, 'Your wallet sends exactly 120 STX.')
    await text(page, 'Unaudited software')
    await signAndConfirm(page)
    await text(page, /^Mirror number 1 of footlights is registered, bonded with 120 STX/)

    await page.getByRole('link', { name: 'footlights', exact: true }).click()
    await page.getByRole('link', { name: 'Fund the pool' }).click()
    await page.getByLabel('Amount').fill('250')
    await button(page, 'Review the deposit')
    await text(page, /^Exactly 250 STX leaves your wallet/)
    await text(page, 'Your wallet sends exactly 250 STX.')
    await signAndConfirm(page)
    await text(page, 'The pool of footlights now has 250 STX free.')

    await page.getByRole('link', { name: 'Understudy' }).click()
    const card = page.getByRole('article').filter({ hasText: 'footlights' })
    await card.getByText('0 of 1 mirror up').waitFor()
    await card.getByText('250 STX').waitFor()
    await card.getByRole('link').click()
    const row = page.getByRole('row').filter({ hasText: 'Not attested yet' })
    await row.getByRole('cell', { name: '120 STX' }).waitFor()
    expect(await page.getByAltText('Badge: backup servers').getAttribute('src')).toMatch(
      /\/backup-servers\.svg$/,
    )
  })

  it('says calmly that a person said no, and lets them sign after all, under rules that were announced', async () => {
    const app = await registeredApp('second-thoughts')
    const change = { app, from: 4, terms: { ...newTerms(), budget: 45n * stx } }
    await network.send(changeRules(network.contracts, change), devnetKey('maintainer'))
    const { page, wallet } = await visit('operator2')
    wallet.answers = 'no'
    await open(page, `#/app/${app}/fund`)
    await heading(page, 'Fund the pool of second-thoughts')
    await page.getByRole('heading', { name: 'What you agree to: rules, version 2' }).waitFor()
    await text(page, 'pays out at most 45 STX')
    await page.getByLabel('Amount').fill('5')
    await button(page, 'Review the deposit')
    await chooseWallet(page)
    await button(page, 'Sign in your wallet')
    await text(page, 'You said no in the wallet. Nothing was signed, nothing was sent.')
    wallet.answers = 'yes'
    await signAndConfirm(page)
    await text(page, 'The pool of second-thoughts now has 5 STX free.')
    expect(wallet.asked).toHaveLength(2)
  })

  it('says in words why the contract refused', async () => {
    const app = await registeredApp('twice')
    const nodeKey = await registeredMirror(app, 'operator3')
    const { page } = await visit('operator3')
    await open(page, `#/app/${app}/mirror`)
    await page.getByLabel('Node key').fill(nodeKey)
    await page.getByLabel('Address').fill('https://again.example.org')
    await button(page, 'Review the registration')
    await chooseWallet(page)
    await button(page, 'Sign in your wallet')
    await text(page, 'The wallet has sent it; it waits for a block.')
    await network.mine()
    await text(page, 'This wallet registered a mirror with this node key already. (error 205)')
    await text(page, 'no money moved')
  })

  it('tells of a wallet that cannot pay', async () => {
    const app = await registeredApp('costly')
    const { page } = await visit('', `${'5e'.repeat(32)}01`)
    await open(page, `#/app/${app}/fund`)
    await page.getByLabel('Amount').fill('5')
    await button(page, 'Review the deposit')
    await chooseWallet(page)
    await text(page, 'This wallet holds 0 STX, and 5 STX would leave it.')
    expect(await page.getByRole('button', { name: 'Sign in your wallet' }).isDisabled()).toBe(true)
    // The form knows the wallet from now on, and says so before anything is reviewed. Back is the form, by either button.
    await button(page, 'Back to the form')
    await page.getByLabel('Amount').waitFor()
    await button(page, 'Review the deposit')
    await text(page, 'This wallet holds 0 STX')
    await page.goBack()
    expect(await page.getByLabel('Amount').inputValue()).toBe('5')
    await text(page, /Your wallet ST.*holds 0 STX, which is too little\./)
  })

  it('remembers a pending transaction over a reload', async () => {
    const app = await registeredApp('patient')
    const { page } = await visit('operator4')
    await open(page, `#/app/${app}/fund`)
    await page.getByLabel('Amount').fill('7')
    await button(page, 'Review the deposit')
    await chooseWallet(page)
    await button(page, 'Sign in your wallet')
    await text(page, 'The wallet has sent it; it waits for a block.')

    await open(page, '')
    await page.reload()
    const strip = page.getByRole('region', { name: 'Your transactions' })
    await strip.getByText('Pending').waitFor()
    await network.mine()
    await strip.getByText('Confirmed').waitFor()
    await strip.getByRole('link', { name: 'Fund patient with 7 STX' }).click()
    await text(page, 'The pool of patient now has 7 STX free.')
  })

  it('names what is wrong next to each field, and keeps what was typed', async () => {
    const app = await registeredApp('fussy')
    const { page } = await visit('operator5')
    await open(page, '#/register')
    await page.getByLabel('Settlement window').fill('80')
    await page.getByLabel('Budget of an epoch').fill('2000')
    await button(page, 'Review the registration')
    await text(page, 'Must be a whole number from 24 to 72 blocks: at most half an epoch.')
    await text(page, 'Must not exceed the cap of 1,000 STX.')
    await text(page, 'Must be an odd number of keys, 1 to 19; there are 0.')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('pubkey')
    await page.reload()
    expect(await page.getByLabel('Settlement window').inputValue()).toBe('80')

    await open(page, `#/app/${app}/mirror`)
    await page.getByLabel('Bond').fill('99')
    await button(page, 'Review the registration')
    await text(page, 'Must be at least 100 STX.')
  })

  it('gives an operator the bond back, from the page that shows what a wallet has', async () => {
    const app = await registeredApp('curtain-call', 5)
    const nodeKey = await registeredMirror(app, 'operator8')
    const { page } = await visit('operator8')
    await open(page, `#/app/${app}`)
    await page.getByRole('link', { name: 'My deposit and mirrors' }).click()
    await button(page, 'Look at it')
    await text(page, 'A Stacks address begins with ST')
    await button(page, "Use my wallet's address")
    await chooseWallet(page)
    await text(page, 'This account has no deposit in this pool.')

    await page.getByText('Add to the bond').click()
    await page.getByLabel('Amount').fill('0')
    await button(page, 'Review it')
    await text(page, 'Must be more than 0 STX.')
    await page.getByLabel('Amount').fill('25')
    await button(page, 'Review it')
    await text(page, 'Your wallet sends exactly 25 STX.')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has in curtain-call now' }).click()
    const card = page.getByRole('article').filter({ hasText: 'Mirror 1' })
    await card.getByText('125 STX').waitFor()
    expect(await card.getByText('Bonded').count()).toBe(1)

    await page.getByText('Replace the node key').click()
    const other = newKey()
    await page.getByLabel('New node key').fill(other)
    await button(page, 'Review it')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await card.locator(`code[title="${other}"]`).waitFor()
    expect(await card.locator(`code[title="${nodeKey}"]`).count()).toBe(0)

    await button(page, 'Ask for the bond back')
    await text(page, 'This cannot be undone.')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await card.getByText('Bond on its way back').waitFor()
    await card.getByText(/can be withdrawn in \d+ blocks/).waitFor()
    expect(await page.getByRole('button', { name: 'Withdraw the bond' }).count()).toBe(0)

    // An epoch, its window and its challenge later.
    await network.mine(160)
    await button(page, 'Withdraw the bond')
    await text(page, 'Exactly 125 STX comes back to your wallet.')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await card.getByText('Gone').waitFor()
  })

  it('lets a funder activate a deposit that waited, and leave again', async () => {
    const app = await registeredApp('second-act', 5)
    const { page } = await visit('funder')
    // Epoch 1 runs, and epoch 0 may still be settled: what is deposited now waits.
    await network.mine(66)
    await open(page, `#/app/${app}/fund`)
    await page.getByLabel('Amount').fill('40')
    await button(page, 'Review the deposit')
    await chooseWallet(page)
    await signAndConfirm(page)
    await text(page, /40 STX of yours wait until no epoch is being settled/)
    await page.getByRole('link', { name: 'your page' }).click()
    await text(page, /count only once somebody activates them/)
    expect(await page.getByRole('button', { name: 'Let it count' }).count()).toBe(0)

    // Nobody settled epoch 0 in its window: it lapsed, and the pool is quiet.
    await network.mine(30)
    await button(page, 'Let it count')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await text(page, /is worth 40 STX now/)

    await page.getByText('Ask to leave').click()
    await page.getByLabel('How much of it').fill('50')
    await button(page, 'Review it')
    await text(page, 'No money moves yet.')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await text(page, /It asked to leave with 20 STX of that: possible from epoch 3 on/)

    // Into epoch 4, past the window of epoch 3.
    await network.mine(180)
    await button(page, 'Leave with it')
    await text(page, 'At least 20 STX comes back to your wallet.')
    await signAndConfirm(page)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await text(page, /is worth 20 STX now/)
  })

  it('keeps an sBTC app in sBTC: register, fund, take it back, and bond, with not one STX but for fees', async () => {
    const { page, wallet } = await visit('maintainer')
    const held = (asset: Asset) => balanceOf(network.client, network.contracts.pool, asset, wallet.address)
    const asset = `${sbtcOf(network.contracts.pool)}::sbtc-token` as const
    const sends = (address: string, condition: 'eq' | 'gte', amount: bigint) => [
      postConditionToHex({ type: 'ft-postcondition', address, condition, amount, asset }),
    ]

    await open(page, '#/register')
    await page.getByLabel('Your Nostr public key').fill(npubEncode(newKey()))
    await page.getByLabel('Repository identifier').fill('orchestra-pit')
    await page.getByLabel('Attester keys').fill([newKey(), newKey(), newKey()].join('\n'))
    await page.getByLabel('Cap of an epoch').fill('800')
    await page.getByLabel('sBTC', { exact: true }).check()
    // What nobody touched becomes an amount that fits; what was typed stays, and is judged in the unit that stands there.
    expect(await page.getByLabel('Budget of an epoch').inputValue()).toBe('0.0025')
    expect(await page.getByLabel('Cap of an epoch').inputValue()).toBe('800')
    await page.getByLabel('Cap of an epoch').fill('0.01')
    const { burnHeight } = await network.client.info()
    await page.getByLabel('First epoch begins at').fill(String(burnHeight + 8))
    await page.getByLabel('Length of an epoch').fill('48')
    await page.getByLabel('Settlement window').fill('24')
    await page.getByLabel('Challenge time').fill('6')
    await button(page, 'Review the registration')
    await chooseWallet(page)
    await text(page, /Each epoch pays at most 0\.0025 sBTC/)
    await signAndConfirm(page)
    await text(page, 'is registered. Next:')

    await page.getByRole('link', { name: 'orchestra-pit', exact: true }).click()
    await page.getByRole('link', { name: 'Fund the pool' }).first().click()
    await text(page, /Your wallet ST.*holds 100 sBTC\./)
    await page.getByLabel('Amount').fill('101')
    await text(page, /holds 100 sBTC, which is too little/)
    await page.getByLabel('Amount').fill('10 STX')
    await button(page, 'Review the deposit')
    await text(page, 'write the amount in sBTC, not in STX')
    await page.getByLabel('Amount').fill('0.025')
    await text(page, 'Pays 10 epochs at the full budget.')
    const before = { stx: await held('stx'), sbtc: await held('sbtc') }
    await button(page, 'Review the deposit')
    await text(page, 'Unaudited software')
    await text(page, 'Your wallet sends exactly 0.025 sBTC.')
    await text(page, 'The network fee comes on top, in STX')
    await signAndConfirm(page)
    await text(page, 'The pool of orchestra-pit now has 0.025 sBTC free.')
    expect(wallet.asked.at(-1)).toMatchObject({
      functionName: 'fund',
      postConditionMode: 'deny',
      postConditions: sends(wallet.address, 'eq', 2_500_000n),
    })
    expect((await held('sbtc')) - before.sbtc).toBe(-2_500_000n)
    expect((await held('stx')) - before.stx).toBe(-walletFee)

    await page.getByRole('link', { name: 'orchestra-pit', exact: true }).click()
    await page.getByRole('link', { name: 'Register a mirror' }).click()
    expect(await page.getByLabel('Bond').inputValue()).toBe('0.001')
    await page.getByLabel('Node key').fill(newKey())
    await page.getByLabel('Address').fill('https://pit.example.org')
    await button(page, 'Review the registration')
    await text(page, 'Your wallet sends exactly 0.001 sBTC.')
    await signAndConfirm(page)
    await text(page, /^Mirror number 1 of orchestra-pit is registered, bonded with 0\.001 sBTC/)

    // Ask to leave, wait until two epochs are over and the last is final, and take everything out.
    await page.getByRole('link', { name: 'orchestra-pit', exact: true }).click()
    await page.getByRole('link', { name: 'My deposit and mirrors' }).click()
    await button(page, "Use my wallet's address")
    await chooseWallet(page)
    await text(page, /is worth 0\.025 sBTC now/)
    await page.getByText('Ask to leave').click()
    await page.getByLabel('How much of it').fill('100')
    await button(page, 'Review it')
    await signAndConfirm(page)
    await network.mine(185)
    await page.getByRole('link', { name: 'what this wallet has' }).click()
    await button(page, 'Leave with it')
    await text(page, 'At least 0.025 sBTC comes back to your wallet.')
    await signAndConfirm(page)
    expect(wallet.asked.at(-1)?.postConditions).toEqual(sends(network.contracts.pool, 'gte', 2_500_000n))
    expect((await held('sbtc')) - before.sbtc).toBe(-100_000n)
    // Four transactions since: the fees are all that left in STX.
    expect((await held('stx')) - before.stx).toBe(-4n * walletFee)
  })

  it('works from a static host below a path, and says when the registry is away', async () => {
    await registeredApp('elsewhere')
    const site = await hostSite('/some/where/', { apiUrl: network.apiUrl })
    const orphan = await hostSite('/', { apiUrl: 'http://127.0.0.1:1' })
    const { page } = await visit('visitor')
    const stage = stages.at(-1)!
    await page.goto(site.url)
    await page.getByRole('link', { name: 'elsewhere' }).click()
    await heading(page, 'elsewhere')
    expect(stage.complaints).toEqual([])

    // The browser itself reports that nobody answers; the page must say it too.
    await page.goto(orphan.url)
    await text(page, 'The apps could not be read.')
    expect(await violations(page)).toEqual([])
    ;(stage.complaints as string[]).splice(0)
    await stage.close()
    stages.splice(stages.indexOf(stage), 1)
    await Promise.all([site.stop(), orphan.stop()])
  })

  describe('in every colour and width', () => {
    let app: string
    let empty: string

    beforeAll(async () => {
      app = await registeredApp('accessible')
      empty = await registeredApp('without-mirrors', 500, 'sbtc')
      await registeredMirror(app, 'operator6')
      const funder = devnetKey('funder')
      const deposit = { app, amount: 10n * stx, rulesVersion: 1, minShares: 0n }
      await network.send(fund(network.contracts, addressOf(funder, network.chainId), deposit), funder)
    })

    const looks = (['light', 'dark'] as const).flatMap((colorScheme) =>
      [390, 1280].map((width) => ({ colorScheme, width })),
    )
    it.each(looks)(
      'has no accessibility violation and nothing too wide: $colorScheme, $width px',
      async (look) => {
        const { colorScheme, width } = look
        const stage = await openStage(browser, { colorScheme, viewport: { width, height: 900 } })
        stages.push(stage)
        const { page } = stage
        await installWallet(stage.context, network, devnetKey('operator7'))
        const fine = async () => {
          expect(await violations(page)).toEqual([])
          expect(await overflows(page)).toBe(false)
        }

        await open(page, '')
        await text(page, 'of 1 mirror up')
        await fine()
        await open(page, `#/app/${app}`)
        await text(page, 'Not attested yet')
        await fine()
        await open(page, `#/app/${empty}`)
        await text(page, 'Nobody mirrors this app yet')
        await fine()
        await open(page, `#/app/${empty}/fund`)
        await text(page, 'Show what my wallet holds')
        await fine()
        await open(page, '#/register')
        await button(page, 'Review the registration')
        await text(page, 'must be changed first')
        await fine()
        await open(page, `#/app/${app}/mirror`)
        await text(page, 'What to expect')
        await fine()
        await open(page, `#/app/${app}/account`)
        await text(page, 'Or look at any address')
        await fine()
        await open(page, `#/app/${app}/account/${addressOf(devnetKey('operator6'), network.chainId)}`)
        await text(page, 'Bonded')
        await page.getByText('Replace the node key').click()
        await fine()
        await open(page, '#/nowhere')
        await heading(page, 'No such page')
        await fine()

        await open(page, `#/app/${app}/fund`)
        await page.getByLabel('Amount').fill('1')
        await fine()
        await button(page, 'Review the deposit')
        await chooseWallet(page)
        await text(page, 'Your wallet sends exactly 1 STX.')
        await fine()
        await button(page, 'Sign in your wallet')
        await text(page, 'The wallet has sent it; it waits for a block.')
        await fine()
        await network.mine()
        await text(page, /now has \d+ STX free\./)
        await fine()
      },
    )
  })
})
