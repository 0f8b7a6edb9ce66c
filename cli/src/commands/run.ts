import { type CommandDef, defineCommand } from 'citty'
import { refuseUnknown } from '../command.ts'

/** Each program reads its configuration from the environment and runs until it is told to stop. */
const programs = {
  node: 'Run a fallback node',
  attester: 'Run an attester',
  api: 'Run an API',
} as const

export type ProgramName = keyof typeof programs

export const run = (name: ProgramName): CommandDef =>
  defineCommand({
    meta: { name, description: `${programs[name]}; it is configured by the environment` },
    async run({ rawArgs }) {
      refuseUnknown(rawArgs, {})
      await import(`@understudy/${name}/main`)
    },
  })
