import { pino } from 'pino'

export type Log = pino.Logger

const secrets = [
  'secret',
  'secretKey',
  'privateKey',
  'senderKey',
  'key.secret',
  'password',
  'authorization',
  'DATABASE_URL',
  'NODE_KEY',
  'NODE_KEY_PASSWORD',
  'ALERT_WEBHOOK',
]

/** JSON lines on stdout. Keys and passwords are cut out wherever a field is named like one. */
export function createLog(name: string, level = 'info', destination?: pino.DestinationStream): Log {
  const paths = secrets.flatMap((field) => [field, `*.${field}`])
  const options = { name, level, base: { name }, redact: { paths, censor: '[cut]' } }
  return destination ? pino(options, destination) : pino(options)
}
