import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startVitest } from 'vitest/node'

// npm run mutate:contracts. Progress goes to stderr; the last line of stdout is the result as JSON.
const usage = `npm run mutate:contracts -- [options]

Breaks the contracts, one thing at a time, and runs the tests that touch the function: does any of them notice?

  --contract <name>   only this contract
  --function <name>   only this function
  --list              print what would be broken, and end
  --resume            keep what an earlier run found noticed, where neither contracts nor that test changed
  --minutes <n>       stop after so many minutes; --resume goes on (exit code 3)
  --help

Survivors that change nothing are argued in tests/mutation/equivalent.json.`

const options = /** @type {const} */ ({
  contract: { type: 'string' },
  function: { type: 'string' },
  list: { type: 'boolean', default: false },
  resume: { type: 'boolean', default: false },
  minutes: { type: 'string' },
  help: { type: 'boolean', default: false },
})

let values
try {
  values = parseArgs({ options }).values
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
  process.exit(2)
}
if (values.help) {
  console.log(usage)
  process.exit(0)
}

const folder = new URL('../.cache/mutation/', import.meta.url)
const result = new URL('result.json', folder)
mkdirSync(folder, { recursive: true })
rmSync(result, { force: true })
process.env['MUTATE'] = JSON.stringify(values)
const vitest = await startVitest('test', [], {
  config: new URL('vitest.config.ts', import.meta.url).pathname,
  watch: false,
})
const errors = [
  ...vitest.state.getUnhandledErrors(),
  ...vitest.state.getFiles().flatMap((file) => file.tasks.flatMap((task) => task.result?.errors ?? [])),
  ...vitest.state.getFiles().flatMap((file) => file.result?.errors ?? []),
]
for (const error of errors) console.error(error)
await vitest.close()
if (errors.length > 0) process.exit(1)
const { exitCode, lines } = JSON.parse(readFileSync(result, 'utf8'))
for (const line of lines) console.log(line)
process.exitCode = exitCode
