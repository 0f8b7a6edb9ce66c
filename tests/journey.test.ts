import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Network, startNetwork } from '@understudy/localnet/network'
import { type EpochSummary, summarise } from '@understudy/localnet/summary'
import { watchNetwork } from '@understudy/localnet/watch'
import { appViewSchema, epochDetailSchema, mirrorsSchema } from '@understudy/protocol/api'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromiumFlags, findChromium } from './browser/chromium.ts'

const folder = mkdtempSync(join(tmpdir(), 'understudy-journey-'))
const epochMs = 200_000
let network: Network
let watch: { stop(): Promise<void> }
let browser: Browser
let page: Page
let summary: EpochSummary

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: findChromium(), args: chromiumFlags })
  network = await startNetwork({ dataDir: join(folder, 'network'), ports: 'any' })
  watch = await watchNetwork(network, () => {})
}, 300_000)

afterAll(async () => {
  await browser?.close()
  await watch?.stop()
  await network?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 300_000)

const named = (name: string) => network.mirrors.find((mirror) => mirror.name === name)!
const read = async (path: string): Promise<unknown> => {
  const response = await fetch(network.urls.api + path, { signal: AbortSignal.timeout(10_000) })
  expect(response.status, path).toBe(200)
  return response.json()
}

/** Asks again until it holds, at most for `ms`: the API follows the chain and the relays, a little behind. */
async function eventually<T>(ask: () => Promise<T>, holds: (value: T) => boolean, ms = 60_000): Promise<T> {
  const until = performance.now() + ms
  for (;;) {
    const value = await ask()
    if (holds(value)) return value
    if (performance.now() > until) throw new Error(`still not so: ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

/** Which source the page's service worker took this file from. */
const servedFrom = (path: string): Promise<string> =>
  page.evaluate(
    (wanted) =>
      new Promise<string>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${wanted} was not served`)), 15_000)
        addEventListener('understudy:served', (event) => {
          const { path, source } = (event as CustomEvent<{ path: string; source: string }>).detail
          if (path !== wanted) return
          clearTimeout(timer)
          resolve(source)
        })
        fetch(wanted, { cache: 'reload' }).catch(reject)
      }),
    path,
  )

describe('from a release to a badge', () => {
  it('the maintainer registers an app, and signs two releases of its repository', async () => {
    const { data } = await network.stages.until('released', { where: ({ data }) => data?.seq === 2 })
    expect(data).toMatchObject({ seq: 2 })
    const app = appViewSchema.parse(
      await eventually(
        () => read(`/api/apps/${network.app.id}`),
        (app) => appViewSchema.parse(app).bound,
      ),
    )
    expect(app).toMatchObject({
      app: network.app.id,
      bound: true,
      maintainer: network.wallets.maintainer.address,
    })
  })

  it('operators bond mirrors of it, before epoch 0', async () => {
    const mirrors = network.stages.past.filter(({ stage }) => stage === 'mirrored')
    expect(mirrors).toHaveLength(5)
    for (const { data } of mirrors) expect(Number(data?.since)).toBeLessThan(network.app.start)
  })

  it('a good mirror serves the second release, the stale one still the first', async () => {
    const release = async (name: string) => {
      const response = await fetch(`${named(name).url}/.well-known/understudy.json`)
      return ((await response.json()) as { seq: number }).seq
    }
    expect(await release('good-a')).toBe(2)
    expect(await release('good-c')).toBe(2)
    expect(await release('stale')).toBe(1)
  })

  it('a visitor opens the app while its master lives', async () => {
    page = await (await browser.newContext()).newPage()
    await page.goto(network.urls.master)
    await page.evaluate(() => navigator.serviceWorker.ready)
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
    expect(await servedFrom('/style.css')).toBe('master')
  })

  it(
    'attesters probe, attest, commit and settle the epoch on chain, and everybody is paid',
    async () => {
      const { epoch } = await network.stages.until('claimed', { timeoutMs: epochMs })
      // Computed again from relays and chain alone; throws unless it is what the chain settled.
      summary = await summarise(network, epoch!)
      expect(summary.paidMirrors.toSorted()).toEqual(['good-a', 'good-b', 'good-c'])
      expect(BigInt(summary.paid)).toBeGreaterThan(0n)
      expect(BigInt(summary.paid)).toBeLessThanOrEqual(BigInt(summary.allocated))
    },
    epochMs + 10_000,
  )

  it('the table says why the stale mirror and the tampering one earned nothing', () => {
    const why = (name: string) => summary.rows.find((row) => row.mirror === name)?.why
    expect(why('stale')).toMatch(/stale/)
    expect(why('tamperer')).toMatch(/wrong bytes/)
    expect(why('good-a')).toBe('')
  })

  it('the API tells the same, from its own reading of chain and relays', async () => {
    const path = `/api/apps/${network.app.id}/epochs/${summary.epoch}`
    const detail = await eventually(
      async () => epochDetailSchema.parse(await read(path)),
      ({ paid }) => paid === summary.paid,
    )
    expect(detail).toMatchObject({ allocated: summary.allocated, settleTxid: summary.settleTxid })
    const { mirrors } = mirrorsSchema.parse(await read(`/api/apps/${network.app.id}/mirrors`))
    const states = Object.fromEntries(mirrors.map((mirror) => [mirror.name, mirror.state]))
    expect(states).toMatchObject({
      'good-a': 'up',
      'good-b': 'up',
      'good-c': 'up',
      stale: 'stale',
      tamperer: 'tampering',
    })
  })

  it('a stranger has their own browser compute the epoch again, without asking the API what it thinks', async () => {
    const stranger = await (await browser.newContext()).newPage()
    await stranger.goto(`${network.urls.web}#/app/${network.app.id}`)
    const row = stranger.getByRole('row').filter({ hasText: 'Payable' }).last()
    await row.getByRole('button', { name: /^Show \d+ payments/ }).click()
    await stranger.getByRole('button', { name: 'Recompute it in this browser' }).click()
    await stranger.getByText('The same.').waitFor({ timeout: 60_000 })
    const { mirrors } = mirrorsSchema.parse(await read(`/api/apps/${network.app.id}/mirrors`))
    const { mirror } = mirrors.find(({ name }) => name === 'tamperer')!
    await stranger.getByText(`Why mirror ${mirror} earned`).click()
    await stranger
      .getByText(/wrong bytes/)
      .last()
      .waitFor()
    await stranger.close()
  }, 300_000)

  it('a registry that shows a stranger another payment than the chain has is found out by their browser', async () => {
    const stranger = await (await browser.newContext()).newPage()
    await stranger.route(new RegExp(`/api/apps/${network.app.id}/epochs/\\d+$`), async (route) => {
      const response = await route.fetch()
      const detail = epochDetailSchema.parse(await response.json())
      const [first, ...rest] = detail.payouts
      const payouts = [{ ...first!, amount: String(BigInt(first!.amount) + 1n) }, ...rest]
      await route.fulfill({ response, json: { ...detail, payouts } })
    })
    await stranger.goto(`${network.urls.web}#/app/${network.app.id}`)
    const row = stranger.getByRole('row').filter({ hasText: 'Payable' }).last()
    await row.getByRole('button', { name: /^Show \d+ payments/ }).click()
    await stranger.getByText('not claimed yet').or(stranger.getByText(': paid,')).first().waitFor()
    await stranger.getByRole('button', { name: 'Recompute it in this browser' }).click()
    await stranger.getByText('Not the same.').waitFor({ timeout: 60_000 })
    await stranger.getByText(/the registry shows payment 0 as/).waitFor()
    await stranger.close()
  }, 300_000)

  it('a README shows it: badges answer with what is true', async () => {
    const badge = async (name: string) => {
      const response = await fetch(`${network.urls.api}/badge/${network.app.id}/${name}.svg`)
      expect(response.headers.get('content-type')).toMatch(/image\/svg\+xml/)
      return response.text()
    }
    const backup = await eventually(
      () => badge('backup-servers'),
      (svg) => svg.includes('3'),
      90_000,
    )
    expect(backup).toMatch(/aria-label="[^"]*3/)
    expect(await badge('reward-pool')).toMatch(/STX/)
  })

  it('the master dies, and the open page goes on with verified bytes from a mirror', async () => {
    await network.processes.get('master').stop()
    await expect(fetch(network.urls.master)).rejects.toThrow()
    // The style sheet is the same in both releases, so that the stale mirror's copy is genuine too; the entry page is not.
    const mirrors = network.mirrors.map(({ name }) => name)
    expect(mirrors).toContain(await servedFrom('/style.css'))
    await page.reload()
    expect(await page.title()).not.toBe('')
    expect(await page.locator('h1').count()).toBeGreaterThan(0)
    expect(['good-a', 'good-b', 'good-c']).toContain(await servedFrom('/index.html'))
  })
})
