import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** A page, and everything that it complained of. */
export interface Stage {
  readonly context: BrowserContext
  readonly page: Page
  /** Errors and warnings of its console, uncaught errors, and requests to hosts other than this machine. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

export async function openStage(browser: Browser, options: BrowserContextOptions = {}): Promise<Stage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  // Shorter than a test may take, so that a failure names the step.
  context.setDefaultTimeout(20_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`))
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url())
    if (protocol.startsWith('http') && hostname !== '127.0.0.1') complaints.push(`asked ${request.url()}`)
  })
  return { context, page, complaints, close: () => context.close() }
}

/** What axe finds wrong with the page as it stands, one line per rule. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const results = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  )
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

/** Whether something makes the page wider than its window. */
export function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)
}
