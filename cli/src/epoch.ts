import { ChainError } from '@understudy/chain/client'
import { LogError } from '@understudy/chain/log'
import { collectBundle } from '@understudy/chain/verify'
import type { EpochBundle } from '@understudy/protocol/epochBundle'
import { type Mismatch, mismatch, type NotEnough, notEnough } from '@understudy/protocol/verify'
import { epochEvents } from '@understudy/relays/epoch'
import type { Relays } from '@understudy/relays/relays'
import { Failure } from './failure.ts'
import type { Chain } from './network.ts'

/** What chain and relays tell of an epoch, as a bundle. Throws `Failure` where the chain does not even say what to look for. */
export async function collect(
  { client, contracts, info }: Chain,
  relays: Pick<Relays, 'query'>,
  app: string,
  epoch: number,
): Promise<EpochBundle> {
  const collected = await collectBundle(
    { client, contracts, chainId: info.chainId, epochEvents: (...of) => epochEvents(relays, ...of) },
    app,
    epoch,
  )
  if (collected.ok !== 'collected') throw refusal(collected, epoch)
  return collected.bundle
}

/** A verdict other than a match as a failure: exit code 1 for a mismatch, 2 where data are missing. */
export function refusal(verdict: Mismatch | NotEnough, epoch: number): Failure {
  const data = { ...verdict }
  if (verdict.ok === 'not-enough')
    return new Failure(
      'not-enough',
      `epoch ${epoch}: missing ${verdict.missing.join('; ')}`,
      'name more relays with --relays, or wait',
      { exitCode: 2, data },
    )
  const { step, mirror, expected, found } = verdict
  const where = mirror === undefined ? step : `${step}, mirror ${mirror}`
  return new Failure(
    'mismatch',
    `epoch ${epoch} differs at: ${where}. Expected ${expected}; found ${found}`,
    undefined,
    { exitCode: 1, data },
  )
}

/** What a chain that does not answer, or contradicts itself, means for a verification: too little to judge, or a log that differs. */
export async function readable<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (cause) {
    const silent = cause instanceof ChainError || (cause instanceof Failure && cause.code === 'no-chain')
    const gap = cause instanceof LogError && cause.reason === 'missing'
    if (!silent && !gap && !(cause instanceof LogError)) throw cause
    const { message } = cause as Error
    const verdict =
      silent || gap ? notEnough(message) : mismatch('log', 'the unbroken log of the contracts', message)
    const fix = cause instanceof Failure ? cause.fix : 'try another --stacks-url'
    const exitCode = verdict.ok === 'not-enough' ? 2 : 1
    throw new Failure(verdict.ok, message, fix, { cause, exitCode, data: { ...verdict } })
  }
}
