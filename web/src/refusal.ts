/** What the contracts' error numbers mean to the person who signed. */
const refusals: Record<number, string> = {
  100: 'This repository is registered already.',
  101: 'The repository address is not one that the contract takes.',
  102: 'The first epoch would begin in the past or more than a year ahead. The chain moved on while you signed: choose a later start.',
  103: 'The epoch length is out of bounds.',
  104: 'The notice is too short or too long.',
  105: 'The cap must be more than 0.',
  106: 'The budget must be more than 0 and at most the cap.',
  107: 'The number of attesters must be odd.',
  108: 'The attester keys are not valid, or one stands there twice.',
  109: 'The number of places is out of bounds.',
  110: 'The levels are not ones that the contract knows.',
  111: 'The floor is above 100 per cent.',
  112: 'The bond that counts in one network must be at least the smallest bond.',
  113: 'The fee exceeds the budget.',
  114: 'The grace is too long.',
  115: 'The smallest bond must be more than 0.',
  116: 'f must be smaller than the number of attesters.',
  117: 'The settlement window exceeds half an epoch.',
  118: 'The challenge time must be 6 blocks or more, and at most a quarter of the window.',
  119: 'The claim period must be at least one epoch and at most a year.',
  120: 'The release key is not a key.',
  121: 'The contract knows no such app.',
  122: 'Only the maintainer may do this.',
  123: 'Rules that were announced have not begun yet. Wait until they have.',
  124: 'The rules would begin before the notice is over.',
  125: 'The rules were ended already.',
  126: 'The app was not offered to this wallet.',
  127: 'The first release number is out of bounds.',
  128: 'Only the pool contract may do this.',
  129: 'The rules list no such attester key.',
  130: 'An attester key was banned: rules cannot list it.',
  200: 'The contract knows no such app.',
  201: 'This wallet cannot own a mirror.',
  202: 'The node key is not a key.',
  203: 'The address of the mirror is missing.',
  204: 'The bond is below the smallest one that the rules allow.',
  205: 'This wallet registered a mirror with this node key already.',
  206: 'The contract knows no such mirror.',
  207: 'Only the wallet that registered the mirror may do this.',
  208: 'The bond is on its way back already.',
  209: 'Ask for the bond back first.',
  210: 'The bond is not free yet: it may still have to answer for past epochs.',
  211: 'The bond was withdrawn already.',
  212: 'The amount must be more than 0, and one that exists.',
  213: 'The mirror was retired already.',
  300: 'The contract knows no such app.',
  301: 'The rules changed while you signed. Look at the new ones and fund again.',
  302: 'The amount must be more than 0, and one that exists.',
  303: 'The deposit would have bought fewer shares than you asked for.',
  304: 'There is no such epoch yet.',
  315: 'This epoch is not settled, or its settlement was voided.',
  316: 'It is still in its challenge time: try again in a few blocks.',
  318: 'The proof does not lead to the root on chain.',
  320: 'It was paid already.',
  322: 'An ended epoch still waits for its settlement. Try again when it is final.',
  323: 'No deposit of this account waits.',
  324: 'The account holds fewer shares than that.',
  325: 'Ask to leave first; a wish from before the pool was spent counts no more.',
  326: 'Two epochs have not passed yet since you asked.',
  330: 'The claim period is over: the money went back to the pool.',
}

/** Why a transaction changed nothing. `result` is what the call returned, printed as Clarity. */
export function refusalInWords(status: string, result: string | undefined): string {
  if (status.startsWith('dropped'))
    return 'The network dropped it before it was mined, for instance because another took its place.'
  // A call that failed moved nothing, so what it had announced may be found missing as well: the call's own error says more.
  const code = /^\(err u(\d+)\)$/.exec(result ?? '')?.[1]
  // What moves STX and what moves sBTC both answer u1 where the sender has too little.
  if (code === '1') return 'The wallet holds too little of what was to be sent. (error 1)'
  if (code !== undefined) return `${refusals[Number(code)] ?? 'The contract refused it.'} (error ${code})`
  if (status === 'abort_by_post_condition')
    return 'It would have moved something that was not announced, so the chain undid it.'
  return 'The contract refused it.'
}
