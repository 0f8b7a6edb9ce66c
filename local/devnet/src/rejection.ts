/** Why a node refuses a transaction: `reason` and `reason_data` as `POST /v2/transactions` answers them. */
export interface Rejection {
  readonly reason: string
  readonly reason_data?: Readonly<Record<string, unknown>>
}

export function rejection(reason: string, reason_data?: Readonly<Record<string, unknown>>): Rejection {
  return reason_data === undefined ? { reason } : { reason, reason_data }
}
