import { extname } from 'node:path'
import { type Bench, benches } from './result.ts'

// npm run bench -- list | NAME. Progress goes to stderr; the last line of stdout is one JSON result.
const name = process.argv[2] ?? 'list'

if (name === 'list') {
  for (const [bench, what] of Object.entries(benches)) console.log(`${bench.padEnd(13)}${what}`)
} else if (!Object.hasOwn(benches, name)) {
  console.error(
    `bench: no bench is called ${JSON.stringify(name)}; there are ${Object.keys(benches).join(', ')}`,
  )
  process.exitCode = 2
} else {
  // Imported by address, so that a bench pays for no other bench's dependencies.
  const { bench } = (await import(`./${name}${extname(import.meta.url)}`)) as { readonly bench: Bench }
  const result = await bench()
  console.log(JSON.stringify(result))
  process.exitCode = result.met ? 0 : 1
}
