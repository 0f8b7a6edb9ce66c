/** A URL that somebody else wrote, safe to be an `href`, or undefined. */
export function webLink(url: string): string | undefined {
  try {
    const { protocol, href } = new URL(url)
    return protocol === 'https:' || protocol === 'http:' ? href : undefined
  } catch {
    return undefined
  }
}

/** Where a transaction can be looked at. A local chain has no explorer: there, its API answers. */
export function transactionLink(
  network: { readonly explorer: string; readonly stacksUrl: string },
  txid: string,
): string | undefined {
  return webLink(
    network.explorer
      ? network.explorer.replace('{txid}', txid)
      : `${network.stacksUrl}/extended/v1/tx/${txid}`,
  )
}

/** `ST1PQ…PGZGM`: long identifiers in the width of a phone. */
export function shortened(id: string, keep = 6): string {
  return id.length > 2 * keep + 1 ? `${id.slice(0, keep)}…${id.slice(-keep)}` : id
}
