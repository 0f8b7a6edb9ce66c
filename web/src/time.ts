const units = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const

const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

/** Seconds since 1970, as seen from `now` (ms): `3 minutes ago`. */
export function relative(seconds: number, now: number): string {
  const delta = Math.round(seconds - now / 1_000)
  const [unit, size] = units.find(([, length]) => Math.abs(delta) >= length) ?? ['second', 1]
  return words.format(Math.trunc(delta / size), unit)
}

/** A span of burn blocks on a chain where one takes about ten minutes, in words: `about 3 days`. */
export function spanOfBlocks(blocks: number): string {
  const hours = blocks / 6
  if (hours < 1) return `about ${Math.max(10, Math.round(blocks * 10))} minutes`
  if (hours < 48) return `about ${plural(Math.round(hours), 'hour')}`
  return `about ${plural(Math.round(hours / 24), 'day')}`
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}
