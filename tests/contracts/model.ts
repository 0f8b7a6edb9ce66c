/**
 * What the contracts should do to one app, written a second time and differently: plain objects, no Clarity, no shared code. It says
 * beforehand how every call ends, and what everybody has afterwards. Money in µSTX, heights in burn blocks unless they say Stacks blocks.
 */

/** The bounds and terms that every row of this test's rules has. */
export interface Setting {
  readonly start: number
  readonly length: number
  readonly notice: number
  readonly budget: bigint
  readonly window: number
  readonly challenge: number
  readonly claimPeriod: number
  readonly minBond: bigint
  /** Attesters by number; each row of rules lists three. */
  readonly keys: readonly number[]
}

/** Signatures that a settlement needs, of three. */
const needed = 2

export interface Now {
  readonly burn: number
  /** Stacks height. */
  readonly height: number
}

/** What a settlement owes somebody; nobody can be paid where `whose` is none. */
export interface Due {
  readonly amount: bigint
  readonly whose: number | undefined
}

interface Settled {
  readonly round: number
  readonly dues: readonly Due[]
  /** Of the rules. */
  readonly keys: readonly number[]
  /** Attesters that signed and were not banned by then. */
  readonly signers: Set<number>
  readonly fromCommon: bigint
  readonly at: Now
  readonly paid: Set<number>
  live: boolean
  swept: boolean
}

interface Bonded {
  readonly owner: number
  key: number
  bond: bigint
  /** What counts from which epoch on. */
  readonly counts: Map<number, bigint>
  ready: number | undefined
  retired: boolean
  withdrawn: boolean
}

export interface Model {
  readonly setting: Setting
  maintainer: number
  offered: number | undefined
  /** First epoch of each row, where it ends when it was ended, and whom it lists. */
  readonly rows: { readonly from: number; until: number | undefined; readonly keys: readonly number[] }[]
  /** Money of the funders, by nobody's share, and waiting. */
  owned: bigint
  common: bigint
  readonly waiting: Map<number, { amount: bigint; version: number; least: bigint }>
  generation: number
  readonly shares: Map<number, bigint>
  readonly wishes: Map<number, { generation: number; shares: bigint; ready: number }>
  readonly epochs: Map<number, Settled>
  readonly mirrors: Bonded[]
  /** Attesters that contradicted themselves. */
  readonly banned: Set<number>
  /** What is at stake behind attesters. */
  readonly attesters: Map<number, { readonly owner: number; readonly amount: bigint }>
  /** Ever taken from attesters' bonds into the common part. */
  slashed: bigint
  /** Sent to the pool by nobody's function. */
  donated: bigint
  readonly gifts: Map<number, bigint>
  /** What each party put into the pool, took out of it, and was paid by it. */
  readonly gave: Map<number, bigint>
  readonly took: Map<number, bigint>
  readonly earned: Map<number, bigint>
  /** What each party bonded, got back, and was rewarded for reports. */
  readonly bonded: Map<number, bigint>
  readonly unbonded: Map<number, bigint>
  readonly rewarded: Map<number, bigint>
}

export function newModel(setting: Setting, maintainer: number): Model {
  return {
    setting,
    maintainer,
    offered: undefined,
    rows: [{ from: 0, until: undefined, keys: setting.keys }],
    owned: 0n,
    common: 0n,
    waiting: new Map(),
    generation: 0,
    shares: new Map(),
    wishes: new Map(),
    epochs: new Map(),
    mirrors: [],
    banned: new Set(),
    attesters: new Map(),
    slashed: 0n,
    donated: 0n,
    gifts: new Map(),
    gave: new Map(),
    took: new Map(),
    earned: new Map(),
    bonded: new Map(),
    unbonded: new Map(),
    rewarded: new Map(),
  }
}

const add = (map: Map<number, bigint>, key: number, amount: bigint) =>
  map.set(key, (map.get(key) ?? 0n) + amount)
const sum = (values: Iterable<bigint>) => [...values].reduce((total, value) => total + value, 0n)

/** The epoch that runs; negative before the start. */
export const runs = ({ start, length }: Setting, burn: number): number => Math.floor((burn - start) / length)
const ends = ({ start, length }: Setting, epoch: number): number => start + (epoch + 1) * length
const next = (model: Model, now: Now): number => Math.max(0, runs(model.setting, now.burn) + 1)

/** 1 for the first row; 0 where nothing governs. */
export function versionOf(model: Model, epoch: number): number {
  const at = model.rows.findLastIndex((row) => row.from <= epoch)
  const row = model.rows[at]
  return row && (row.until === undefined || epoch < row.until) ? at + 1 : 0
}

export const payableAt = (model: Model, settled: Settled): Now => ({
  burn: settled.at.burn + model.setting.challenge,
  height: settled.at.height + model.setting.challenge,
})

function isPast(now: Now, then: Now): boolean {
  return now.burn >= then.burn && now.height >= then.height
}

/** Every epoch that ended is payable, or can no longer be settled. */
export function isQuiet(model: Model, now: Now): boolean {
  const { setting } = model
  // Voided or not: what was ever settled holds everybody up until it would have been payable.
  for (const settled of model.epochs.values()) if (!isPast(now, payableAt(model, settled))) return false
  const last = runs(setting, now.burn) - 1
  if (last < 0 || versionOf(model, last) === 0) return true
  return Boolean(model.epochs.get(last)?.live) || now.burn >= ends(setting, last) + setting.window
}

export const amountOf = (settled: Settled): bigint => sum(settled.dues.map(({ amount }) => amount))
export const paidOf = (settled: Settled): bigint =>
  sum([...settled.paid].map((at) => settled.dues[at]!.amount))

/** What the pool should say of itself. */
export function account(model: Model): Record<string, bigint> {
  const live = [...model.epochs.values()].filter((settled) => settled.live)
  return {
    deposited: sum(model.gave.values()),
    free: model.owned + model.common,
    common: model.common,
    parked: sum([...model.waiting.values()].map(({ amount }) => amount)),
    owed: sum(live.filter(({ swept }) => !swept).map((settled) => amountOf(settled) - paidOf(settled))),
    paid: sum(live.map(paidOf)),
    refunded: sum(model.took.values()),
    bonded: sum([...model.attesters.values()].map(({ amount }) => amount)),
    slashed: model.slashed,
    shares: sum(model.shares.values()),
    generation: BigInt(model.generation),
  }
}

function mint(model: Model, who: number, amount: bigint, least: bigint): string {
  const total = sum(model.shares.values())
  const over = model.owned * 1_000_000n < total
  const minted = over || total === 0n ? amount : (amount * total) / model.owned
  if (minted < least) return 'ERR_MIN_SHARES'
  if (over) {
    model.common += model.owned
    model.owned = 0n
    model.generation++
    model.shares.clear()
  }
  model.owned += amount
  add(model.shares, who, minted)
  return 'ok'
}

export function fund(
  model: Model,
  now: Now,
  who: number,
  deposit: { readonly amount: bigint; readonly version: number; readonly least: bigint },
): string {
  if (deposit.version !== model.rows.length) return 'ERR_RULES_VERSION'
  if (deposit.amount === 0n) return 'ERR_AMOUNT'
  if (isQuiet(model, now)) {
    const outcome = mint(model, who, deposit.amount, deposit.least)
    if (outcome === 'ok') add(model.gave, who, deposit.amount)
    return outcome
  }
  const before = model.waiting.get(who) ?? { amount: 0n, least: 0n }
  model.waiting.set(who, {
    amount: before.amount + deposit.amount,
    version: deposit.version,
    least: before.least + deposit.least,
  })
  add(model.gave, who, deposit.amount)
  return 'ok'
}

export function activate(model: Model, now: Now, whose: number): string {
  const deposit = model.waiting.get(whose)
  if (!deposit) return 'ERR_NOTHING_PARKED'
  if (!isQuiet(model, now)) return 'ERR_NOT_QUIET'
  if (deposit.version !== model.rows.length) return 'ERR_RULES_VERSION'
  const outcome = mint(model, whose, deposit.amount, deposit.least)
  if (outcome === 'ok') model.waiting.delete(whose)
  return outcome
}

export function takeBack(model: Model, who: number): string {
  const deposit = model.waiting.get(who)
  if (!deposit) return 'ERR_NOTHING_PARKED'
  model.waiting.delete(who)
  add(model.took, who, deposit.amount)
  return 'ok'
}

export function requestExit(model: Model, now: Now, who: number, shares: bigint): string {
  if (shares > (model.shares.get(who) ?? 0n)) return 'ERR_SHARES'
  const ready = Math.max(0, runs(model.setting, now.burn)) + 2
  model.wishes.set(who, { generation: model.generation, shares, ready })
  return 'ok'
}

export function exit(model: Model, now: Now, who: number): string {
  const wish = model.wishes.get(who)
  if (!wish || wish.shares === 0n || wish.generation !== model.generation) return 'ERR_NOT_REQUESTED'
  if (runs(model.setting, now.burn) < wish.ready) return 'ERR_NOT_READY'
  if (!isQuiet(model, now)) return 'ERR_NOT_QUIET'
  const amount = (wish.shares * model.owned) / sum(model.shares.values())
  model.wishes.delete(who)
  add(model.shares, who, -wish.shares)
  model.owned -= amount
  add(model.took, who, amount)
  return 'ok'
}

/** Whom the rules of an epoch list; none where nothing governs it. */
export const listed = (model: Model, epoch: number): readonly number[] =>
  model.rows[versionOf(model, epoch) - 1]?.keys ?? []

/** `signing`: by position among the listed. */
export function settle(
  model: Model,
  now: Now,
  epoch: number,
  round: number,
  dues: readonly Due[],
  signing: readonly boolean[],
): string {
  const { setting } = model
  if (versionOf(model, epoch) === 0) return 'ERR_UNKNOWN_EPOCH'
  const before = model.epochs.get(epoch)
  if (before?.live) return 'ERR_SETTLED'
  if (round !== (before ? before.round + 1 : 0)) return 'ERR_ROUND'
  const end = ends(setting, epoch)
  if (now.burn < end) return 'ERR_TOO_EARLY'
  if (now.burn >= end + setting.window - (round === 0 ? 2 * setting.challenge : 0)) return 'ERR_TOO_LATE'
  const allocated = sum(dues.map(({ amount }) => amount))
  if (allocated > setting.budget) return 'ERR_OVER_BUDGET'
  if (allocated > model.owned + model.common) return 'ERR_OVER_FREE'
  const keys = listed(model, epoch)
  const signers = new Set(keys.filter((key, at) => signing[at] && !model.banned.has(key)))
  if (signers.size < needed) return 'ERR_QUORUM'
  const fromCommon = allocated < model.common ? allocated : model.common
  model.common -= fromCommon
  model.owned -= allocated - fromCommon
  model.epochs.set(epoch, {
    ...{ round, dues, keys, signers, fromCommon, at: now, paid: new Set<number>() },
    ...{ live: true, swept: false },
  })
  return 'ok'
}

/** Takes a settlement back. */
function unsettle(model: Model, settled: Settled): void {
  settled.live = false
  model.common += settled.fromCommon
  model.owned += amountOf(settled) - settled.fromCommon
}

export function veto(model: Model, now: Now, who: number, epoch: number): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (who !== model.maintainer) return 'ERR_NOT_MAINTAINER'
  if (settled.round > 0) return 'ERR_ROUND'
  if (isPast(now, payableAt(model, settled))) return 'ERR_PAYABLE'
  unsettle(model, settled)
  return 'ok'
}

export function addSignatures(model: Model, now: Now, epoch: number, signing: readonly boolean[]): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (isPast(now, payableAt(model, settled))) return 'ERR_PAYABLE'
  for (const [at, key] of settled.keys.entries())
    if (signing[at] && !model.banned.has(key)) settled.signers.add(key)
  return 'ok'
}

/** Voids what too few stand behind. */
export function strike(model: Model, now: Now, epoch: number): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (isPast(now, payableAt(model, settled))) return 'ERR_PAYABLE'
  if ([...settled.signers].filter((key) => !model.banned.has(key)).length >= needed) return 'ERR_STANDS'
  unsettle(model, settled)
  return 'ok'
}

/** Two contradicting signatures of a key, told as of an epoch and a row that lists it then. */
export function report(
  model: Model,
  now: Now,
  who: number,
  epoch: number,
  version: number,
  key: number,
): string {
  if (version === 0 || versionOf(model, epoch) !== version) return 'ERR_UNKNOWN_EPOCH'
  if (!model.rows[version - 1]!.keys.includes(key)) return 'ERR_KEY'
  if (model.banned.has(key)) return 'ERR_BANNED'
  model.banned.add(key)
  const bond = model.attesters.get(key)?.amount ?? 0n
  const reward = bond / 10n
  model.attesters.delete(key)
  add(model.rewarded, who, reward)
  model.common += bond - reward
  model.slashed += bond - reward
  strike(model, now, epoch)
  return 'ok'
}

export function bondAttester(
  model: Model,
  who: number,
  key: number,
  amount: bigint,
  signedFor: number,
): string {
  if (amount === 0n) return 'ERR_AMOUNT'
  const before = model.attesters.get(key)
  if (before && before.owner !== who) return 'ERR_BONDED'
  if (model.banned.has(key)) return 'ERR_BANNED'
  if (signedFor !== who) return 'ERR_SIGNATURES'
  model.attesters.set(key, { owner: who, amount: (before?.amount ?? 0n) + amount })
  add(model.bonded, who, amount)
  return 'ok'
}

export function withdrawAttester(model: Model, now: Now, who: number, key: number): string {
  const { setting } = model
  const row = model.attesters.get(key)
  if (!row) return 'ERR_NOT_BONDED'
  if (row.owner !== who) return 'ERR_NOT_OWNER'
  const epoch = Math.max(0, runs(setting, now.burn))
  const last = Math.max(0, epoch - 1)
  const final =
    now.burn >= ends(setting, last) + setting.window + setting.challenge &&
    [...model.epochs.values()].every((settled) => isPast(now, payableAt(model, settled)))
  const newest = model.rows.at(-1)!
  const over = newest.until !== undefined && newest.until <= epoch
  if ((!over && newest.keys.includes(key)) || listed(model, epoch).includes(key)) return 'ERR_LISTED'
  if (listed(model, last).includes(key) && !final) return 'ERR_LISTED'
  model.attesters.delete(key)
  add(model.unbonded, who, row.amount)
  return 'ok'
}

export function claim(model: Model, now: Now, epoch: number, leaf: number): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (!isPast(now, payableAt(model, settled))) return 'ERR_NOT_PAYABLE'
  if (settled.swept) return 'ERR_SWEPT'
  const due = settled.dues[leaf]
  if (!due) return 'ERR_INDEX'
  if (due.whose === undefined) return 'ERR_RECIPIENT'
  if (settled.paid.has(leaf)) return 'ERR_CLAIMED'
  settled.paid.add(leaf)
  add(model.earned, due.whose, due.amount)
  return 'ok'
}

/** Every leaf of a range that can be paid and was not. */
export function claimRange(model: Model, now: Now, epoch: number, start: number): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (!isPast(now, payableAt(model, settled))) return 'ERR_NOT_PAYABLE'
  if (settled.swept) return 'ERR_SWEPT'
  if (settled.dues.length === 0) return 'ERR_PROOF'
  const paid = settled.dues
    .slice(start, start + 128)
    .filter((_, at) => claim(model, now, epoch, start + at) === 'ok')
  return paid.length > 0 ? 'ok' : 'ERR_CLAIMED'
}

export function sweep(model: Model, now: Now, epoch: number): string {
  const settled = model.epochs.get(epoch)
  if (!settled?.live) return 'ERR_NOT_SETTLED'
  if (settled.swept) return 'ERR_SWEPT'
  const opens = payableAt(model, settled)
  const closes = { burn: opens.burn + model.setting.claimPeriod, height: opens.height }
  if (!isPast(now, closes)) return 'ERR_CLAIMABLE'
  settled.swept = true
  model.common += amountOf(settled) - paidOf(settled)
  return 'ok'
}

/** What the registry should hold. */
export const bonds = (model: Model): bigint =>
  sum(model.mirrors.filter(({ withdrawn }) => !withdrawn).map(({ bond }) => bond))

/** With which bond a mirror counts in an epoch. */
export function bondIn(mirror: Bonded, epoch: number): bigint {
  let counted = 0n
  for (const [from, bond] of mirror.counts) if (from <= epoch) counted = bond
  return counted
}

const taken = (model: Model, owner: number, key: number): boolean =>
  model.mirrors.some((m) => m.owner === owner && m.key === key && !m.retired && !m.withdrawn)

export function register(model: Model, now: Now, owner: number, key: number, bond: bigint): string {
  if (bond < model.setting.minBond) return 'ERR_BOND_TOO_LOW'
  if (taken(model, owner, key)) return 'ERR_MIRROR_EXISTS'
  const counts = new Map([[next(model, now), bond]])
  model.mirrors.push({ owner, key, bond, counts, ready: undefined, retired: false, withdrawn: false })
  return 'ok'
}

function owned(model: Model, who: number, mirror: number): Bonded | string {
  const row = model.mirrors[mirror - 1]
  if (!row) return 'ERR_UNKNOWN_MIRROR'
  return row.owner === who ? row : 'ERR_NOT_OWNER'
}

export function addBond(model: Model, now: Now, who: number, mirror: number, amount: bigint): string {
  const row = owned(model, who, mirror)
  if (typeof row === 'string') return row
  if (amount === 0n) return 'ERR_AMOUNT'
  if (row.ready !== undefined) return 'ERR_UNBONDING'
  row.bond += amount
  row.counts.set(next(model, now), row.bond)
  return 'ok'
}

function stop(model: Model, now: Now, row: Bonded): void {
  const { length, window, challenge } = model.setting
  const governed = versionOf(model, Math.max(0, runs(model.setting, now.burn))) > 0
  row.ready = now.burn + length + (governed ? window + challenge : 0)
  row.counts.set(next(model, now), 0n)
}

export function beginUnbond(model: Model, now: Now, who: number, mirror: number): string {
  const row = owned(model, who, mirror)
  if (typeof row === 'string') return row
  if (row.ready !== undefined) return 'ERR_UNBONDING'
  stop(model, now, row)
  return 'ok'
}

export function retire(model: Model, now: Now, who: number, mirror: number): string {
  const row = owned(model, who, mirror)
  if (typeof row === 'string') return row
  if (row.withdrawn) return 'ERR_WITHDRAWN'
  if (row.retired) return 'ERR_RETIRED'
  if (row.ready === undefined) stop(model, now, row)
  row.retired = true
  return 'ok'
}

export function rekey(model: Model, who: number, mirror: number, key: number): string {
  const row = owned(model, who, mirror)
  if (typeof row === 'string') return row
  if (row.withdrawn) return 'ERR_WITHDRAWN'
  if (row.retired) return 'ERR_RETIRED'
  if (taken(model, who, key)) return 'ERR_MIRROR_EXISTS'
  row.key = key
  return 'ok'
}

export function withdraw(model: Model, now: Now, who: number, mirror: number): string {
  const row = owned(model, who, mirror)
  if (typeof row === 'string') return row
  if (row.ready === undefined) return 'ERR_NOT_UNBONDING'
  if (row.withdrawn) return 'ERR_WITHDRAWN'
  if (now.burn < row.ready) return 'ERR_NOT_READY'
  row.withdrawn = true
  return 'ok'
}

export function changeRules(
  model: Model,
  now: Now,
  who: number,
  from: number,
  keys: readonly number[],
): string {
  if (who !== model.maintainer) return 'ERR_NOT_MAINTAINER'
  const last = model.rows.at(-1)!
  if (last.from > Math.max(0, runs(model.setting, now.burn))) return 'ERR_PENDING'
  if (from < next(model, now) + model.setting.notice || from < (last.until ?? 0)) return 'ERR_FROM'
  last.until ??= from
  model.rows.push({ from, until: undefined, keys })
  return 'ok'
}

export function endRules(model: Model, now: Now, who: number): string {
  if (who !== model.maintainer) return 'ERR_NOT_MAINTAINER'
  const last = model.rows.at(-1)!
  if (last.from > Math.max(0, runs(model.setting, now.burn))) return 'ERR_PENDING'
  if (last.until !== undefined) return 'ERR_ENDED'
  last.until = next(model, now) + model.setting.notice
  return 'ok'
}

export function offer(model: Model, who: number, to: number): string {
  if (who !== model.maintainer) return 'ERR_NOT_MAINTAINER'
  model.offered = to
  return 'ok'
}

export function accept(model: Model, who: number): string {
  if (who !== model.offered) return 'ERR_NOT_OFFERED'
  model.offered = undefined
  model.maintainer = who
  return 'ok'
}
