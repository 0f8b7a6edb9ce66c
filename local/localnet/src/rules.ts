/** The demo's rules, as `understudy app register --rules` reads them. Money in µSTX. */
export function demoRules(attesters: readonly string[], start: string): Record<string, string> {
  return {
    start,
    length: '60',
    notice: '3',
    budget: String(budget),
    cap: String(budget * 10n),
    attesters: attesters.join(','),
    places: '3',
    levels: 'network',
    floor: '500000',
    fee: String(budget / 20n),
    grace: '5',
    'min-bond': String(bond),
    'domain-bond': String(bond * 10n),
    faults: '1',
    window: '30',
    challenge: '6',
    'claim-period': '1440',
  }
}

/** Most that one epoch pays. */
export const budget = 30_000_000n
/** What each operator puts at stake. */
export const bond = 100_000_000n
/** One deposit: sixteen epochs. */
export const deposit = 480_000_000n
