import { type CommandDef, defineCommand } from 'citty'
import { refuseUnknown } from '../command.ts'

/** Each program reads its configuration from the environment and runs until it is told to stop. */
const programs = {
  node: 'Run a fallback node',
  attester: 'Run an attester',
  api: 'Run an API',
} as const

export type ProgramName = keyof typeof programs

const stateOnly = {
  'state-only': {
    type: 'boolean',
    description: "Keep the app's events alone: listen nowhere, dial its nodes (for a machine behind NAT)",
  },
} as const

export const run = (name: ProgramName): CommandDef =>
  defineCommand({
    meta: { name, description: `${programs[name]}; it is configured by the environment` },
    args: name === 'node' ? stateOnly : {},
    async run({ rawArgs, args }) {
      refuseUnknown(rawArgs, name === 'node' ? stateOnly : {})
      const program = (args as { 'state-only'?: boolean })['state-only'] ? 'state/main' : 'main'
      await import(`@understudy/${name}/${program}`)
    },
  })
