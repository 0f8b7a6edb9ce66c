import { z } from 'zod'

type Env = Readonly<Record<string, string | undefined>>

const wsUrl = z.string().refine((value) => /^wss?:\/\/[^\s]+$/.test(value), 'expected ws:// or wss:// URLs')

/** A comma-separated list; spaces around its members are dropped. */
export const list = z.string().transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)

/** What every program reads. Spread it into the program's own schema: `z.object({ ...commonEnv, … })`. */
export const commonEnv = {
  STACKS_API_URL: z
    .url({ protocol: /^https?$/ })
    .default('https://api.hiro.so')
    .describe('Base URL of a Stacks API'),
  DEPLOYER: z
    .string()
    .regex(/^S[A-Z0-9]{27,41}$/, 'expected a Stacks principal')
    .describe("Principal that deployed Understudy's contracts"),
  RELAYS: list.pipe(z.array(wsUrl).min(1)).describe('Nostr relays, comma-separated ws(s) URLs'),
  DATA_DIR: z.string().min(1).default('./data').describe('Folder for keys and state'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(0).describe('TCP port; 0 takes any free one'),
  HOST: z
    .string()
    .optional()
    .describe('Address to listen on; default 0.0.0.0, or 127.0.0.1 with PLACES_FILE'),
  PLACES_FILE: z.string().optional().describe('Pretended places, on a local devnet only'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Least level that is logged'),
}

/** Address to listen on: loopback in a pretended world, everywhere otherwise. */
export function listenHost(config: { readonly HOST?: string; readonly PLACES_FILE?: string }): string {
  return config.HOST ?? (config.PLACES_FILE ? '127.0.0.1' : '0.0.0.0')
}

export type ParsedEnv<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Reads the variables that the schema names; empty ones count as unset. One line per bad variable, with its purpose. */
export function parseEnv<S extends z.ZodObject>(schema: S, env: Env): ParsedEnv<z.output<S>> {
  const named = Object.keys(schema.shape).flatMap((name) => (env[name] ? [[name, env[name]]] : []))
  const result = schema.safeParse(Object.fromEntries(named))
  if (result.success) return { ok: true, value: result.data }
  const problems = result.error.issues.map((issue) => {
    const name = String(issue.path[0] ?? 'configuration')
    const purpose = schema.shape[name]?.description
    const problem = env[name] ? issue.message : 'is missing'
    return `${name}: ${problem}${purpose ? `. ${purpose}.` : ''}`
  })
  return { ok: false, problems: [...new Set(problems)] }
}

/** The program's configuration; on a bad one prints what to set, and the hint, and exits 2. For `main.ts` alone. */
export function readConfig<S extends z.ZodObject>(schema: S, env: Env, hint?: string): z.output<S> {
  const read = parseEnv(schema, env)
  if (read.ok) return read.value
  for (const problem of read.problems) console.error(problem)
  if (hint) console.error(hint)
  process.exit(2)
}

/** One variable of a schema, as documents and deploy files show it. */
export interface EnvField {
  readonly name: string
  readonly purpose: string
  readonly required: boolean
  /** What it is when unset; empty for none. */
  readonly fallback: string
}

/** Every variable of a schema, in its order: documents and deploy files are made of these. */
export function envFields(schema: z.ZodObject): EnvField[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const type = field as z.ZodType
    const unset = type.safeParse(undefined)
    const fallback = unset.success && unset.data !== undefined ? String(unset.data) : ''
    return { name, purpose: type.description ?? name, required: !unset.success, fallback }
  })
}

/** `.env.example` of a schema: each variable with its purpose, its default filled in, optional ones commented out. */
export function envDocs(schema: z.ZodObject): string {
  return envFields(schema)
    .map(
      ({ name, purpose, required, fallback }) =>
        `# ${purpose}${required ? ' (required)' : ''}\n${required ? '' : '# '}${name}=${fallback}\n`,
    )
    .join('\n')
}
