import { render } from 'preact'
import { readConfig } from './config.ts'
import { House } from './house.tsx'
import { Trouble } from './part/trouble.tsx'
import { openRegistry } from './registry.ts'
import './style.css'

const root = document.getElementById('root')!
const config = await readConfig(document.baseURI)
if (config.ok) render(<House registry={openRegistry(config.value)} storage={localStorage} />, root)
else
  render(
    <main id="main">
      <h1>Understudy</h1>
      <Trouble what="This site is not set up" reason={config.reason} />
    </main>,
    root,
  )
