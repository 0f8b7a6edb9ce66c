import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** This process's environment without what `npm test` and vitest add to it: a folder elsewhere is no part of this workspace. */
export const plainEnv: Record<string, string | undefined> = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^npm_(?!config_(registry|cache|userconfig)$)/i.test(name) &&
      !/^(INIT_CWD|NODE_ENV|VITEST.*|TEST|MODE|DEV|PROD|SSR|BASE_URL)$/.test(name),
  ),
)

export interface PackageFile {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

/** The packages that are published: every workspace that is not private. */
export function publishedPackages(): { readonly folder: string; readonly file: PackageFile }[] {
  const read = (folder: string) =>
    JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as PackageFile & {
      workspaces: string[]
    }
  const folders = read('.').workspaces.flatMap((pattern) =>
    pattern.endsWith('/*')
      ? readdirSync(join(root, pattern.slice(0, -2))).map((name) => join(pattern.slice(0, -2), name))
      : [pattern],
  )
  return folders
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .map((folder) => ({ folder, file: read(folder) }))
    .filter(({ file }) => !file.private)
}

export interface Packed {
  /** Folder of the installed programs. */
  readonly bin: string
  /** Folder of the installed packages. */
  readonly modules: string
}

/**
 * The lockfile of this workspace without its own packages: what is installed elsewhere is then what was installed here, out of npm's cache, and not
 * whatever a registry has this morning.
 */
function lockOfOthers() {
  const { packages, ...rest } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { link?: boolean }>
  }
  const others = Object.entries(packages).filter(
    ([path, { link }]) => path.startsWith('node_modules/') && !link,
  )
  return { ...rest, name: 'installed', packages: { '': { private: true }, ...Object.fromEntries(others) } }
}

/** Packs every published package, and installs them in an empty folder, as `npm install` would from a registry. */
export async function installPacked(folder: string): Promise<Packed> {
  const packs = join(folder, 'packs')
  const home = join(folder, 'installed')
  for (const path of [packs, home]) mkdirSync(path, { recursive: true })
  const packages = publishedPackages()
  await execute(
    'npm',
    [
      'pack',
      '--silent',
      `--pack-destination=${packs}`,
      ...packages.map((one) => `--workspace=${one.folder}`),
    ],
    { cwd: root, env: plainEnv },
  )
  const tarball = ({ name, version }: PackageFile) =>
    `file:${join(packs, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`)}`
  const dependencies = Object.fromEntries(packages.map(({ file }) => [file.name, tarball(file)]))
  // One of them asks for another by version, and npm would ask a registry for it: nobody has published these.
  const overrides = Object.fromEntries(packages.map(({ file }) => [file.name, `$${file.name}`]))
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, dependencies, overrides }))
  writeFileSync(join(home, 'package-lock.json'), JSON.stringify(lockOfOthers()))
  await execute('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--silent'], {
    cwd: home,
    env: plainEnv,
    timeout: 500_000,
  })
  const modules = join(home, 'node_modules')
  return { bin: join(modules, '.bin'), modules }
}
