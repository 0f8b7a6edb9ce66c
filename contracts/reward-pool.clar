;; reward-pool: the money that pays mirrors, what was settled, and what was paid.
;;
;; Holds the deposits of all apps, each app's in its own account. Anyone may fund; anyone who holds M of N attester signatures may
;; settle an epoch; anyone may claim for a recipient, who alone is paid. No other way leads out, and nobody has a privilege.
;;
;; Units: money in uSTX, heights in burn blocks unless they say Stacks blocks.

;; ---------------------------------------------------------------- errors: 300 to 399

(define-constant ERR_UNKNOWN_APP (err u300))
(define-constant ERR_RULES_VERSION (err u301))
(define-constant ERR_AMOUNT (err u302))
(define-constant ERR_MIN_SHARES (err u303))
(define-constant ERR_UNKNOWN_EPOCH (err u304))
(define-constant ERR_ROUND (err u305))
(define-constant ERR_TOO_EARLY (err u306))
(define-constant ERR_TOO_LATE (err u307))
(define-constant ERR_SETTLED (err u308))
(define-constant ERR_INPUTS (err u309))
(define-constant ERR_OUTCOME (err u310))
(define-constant ERR_OVER_BUDGET (err u311))
(define-constant ERR_OVER_FREE (err u312))
(define-constant ERR_SIGNATURES (err u313))
(define-constant ERR_QUORUM (err u314))
(define-constant ERR_NOT_SETTLED (err u315))
(define-constant ERR_NOT_PAYABLE (err u316))
(define-constant ERR_INDEX (err u317))
(define-constant ERR_PROOF (err u318))
(define-constant ERR_RECIPIENT (err u319))
(define-constant ERR_CLAIMED (err u320))
(define-constant ERR_OVER_ALLOCATED (err u321))

;; ---------------------------------------------------------------- constants

(define-constant NO_ROOT 0x0000000000000000000000000000000000000000000000000000000000000000)
(define-constant LEAF 0x00)
(define-constant NODE 0x01)
;; "SIP018"
(define-constant STRUCTURED_DATA 0x534950303138)
(define-constant DOMAIN (sha256 (unwrap-panic (to-consensus-buff? {
  name: "understudy",
  version: "1",
  chain-id: chain-id,
}))))

;; ---------------------------------------------------------------- state

;; Invariant 1: deposited = free + owed + paid, for every app.
;; Invariant 2: the contract's balance is at least the sum of free + owed of all apps.
(define-map pools
  (buff 32)
  {
    deposited: uint, ;; ever put in
    free: uint, ;; not yet allocated
    owed: uint, ;; allocated, not yet paid
    paid: uint, ;; ever paid out
    shares: uint, ;; ever minted
  }
)

;; Invariant 3: the shares of an app's funders add up to the shares of its pool. One share per uSTX.
(define-map shares
  { app: (buff 32), funder: principal }
  uint
)

;; Invariant 4: at most one settlement per app and epoch, with allocated <= budget and <= free as it was then.
;; Invariant 5: paid <= allocated, and owed of the pool = the sum of allocated - paid of its settlements.
;; Invariant 6: allocated = 0, count = 0 and root = 32 zero bytes hold together or not at all.
(define-map settlements
  { app: (buff 32), epoch: uint }
  {
    round: uint, ;; how many settlements of this epoch were voided before
    version: uint, ;; the rules row
    inputs: (buff 32),
    root: (buff 32),
    allocated: uint,
    count: uint, ;; leaves under the root
    signers: (list 19 bool), ;; by position in the keys of the rules row
    burn: uint, ;; burn height of the settlement
    height: uint, ;; Stacks height of the settlement
    challenge: uint, ;; both must have grown by it before anything is paid
    paid: uint,
  }
)

;; Invariant 7: a leaf that is in this map was paid exactly once.
(define-map claims
  { app: (buff 32), epoch: uint, round: uint, index: uint }
  bool
)

;; Invariant 8: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
(define-map logs
  (buff 32)
  { seq: uint, head: (buff 32) }
)

;; ---------------------------------------------------------------- read-only

;; How much money does this app have?
(define-read-only (get-pool (app (buff 32)))
  (default-to { deposited: u0, free: u0, owed: u0, paid: u0, shares: u0 } (map-get? pools app))
)

;; How much of it did this funder bring?
(define-read-only (get-shares (app (buff 32)) (funder principal))
  (default-to u0 (map-get? shares { app: app, funder: funder }))
)

;; How was this epoch settled?
(define-read-only (get-settlement (app (buff 32)) (epoch uint))
  (map-get? settlements { app: app, epoch: epoch })
)

;; Was this leaf paid?
(define-read-only (is-claimed (app (buff 32)) (epoch uint) (round uint) (index uint))
  (is-some (map-get? claims { app: app, epoch: epoch, round: round, index: index }))
)

;; May its leaves be claimed? Burn and Stacks height must both have grown: a burn view that stalls skips no challenge.
(define-read-only (is-payable (app (buff 32)) (epoch uint))
  (match (map-get? settlements { app: app, epoch: epoch })
    row (is-past (get burn row) (get height row) (get challenge row))
    false
  )
)

;; What do attesters sign (SIP-018)? Bound to this contract and chain, to the app, the epoch and the round.
(define-read-only (settlement-hash
    (app (buff 32))
    (epoch uint)
    (round uint)
    (inputs (buff 32))
    (root (buff 32))
    (allocated uint)
    (count uint)
  )
  (sha256 (concat STRUCTURED_DATA (concat DOMAIN
    (sha256 (unwrap-panic (to-consensus-buff? {
      topic: "settlement",
      pool: current-contract,
      app: app,
      epoch: epoch,
      round: round,
      inputs: inputs,
      root: root,
      allocated: allocated,
      count: count,
    })))
  )))
)

;; What stands for this payment in the tree?
(define-read-only (leaf-hash (leaf { index: uint, mirror: uint, recipient: principal, amount: uint }))
  (sha256 (concat LEAF (unwrap-panic (to-consensus-buff? leaf))))
)

;; Which root does this proof lead to?
(define-read-only (root-of
    (leaf { index: uint, mirror: uint, recipient: principal, amount: uint })
    (proof (list 24 { hash: (buff 32), left: bool }))
  )
  (fold climb proof (leaf-hash leaf))
)

;; Where does this app's log stand?
(define-read-only (get-log (app (buff 32)))
  (default-to { seq: u0, head: NO_ROOT } (map-get? logs app))
)

;; ---------------------------------------------------------------- public

;; Deposits for an app whose newest rules the funder names, so that nobody funds rules that they have not read.
(define-public (fund (app (buff 32)) (amount uint) (rules-version uint) (min-shares uint))
  (let (
      (row (unwrap! (contract-call? .attester-quorum get-app app) ERR_UNKNOWN_APP))
      (pool (get-pool app))
      (minted amount)
      (event {
        topic: "funded",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: tx-sender,
        amount: amount,
        shares: minted,
        version: rules-version,
      })
    )
    (asserts! (is-eq rules-version (get version row)) ERR_RULES_VERSION)
    (asserts! (> amount u0) ERR_AMOUNT)
    (asserts! (>= minted min-shares) ERR_MIN_SHARES)
    (try! (stx-transfer? amount tx-sender current-contract))
    (map-set pools app (merge pool {
      deposited: (+ (get deposited pool) amount),
      free: (+ (get free pool) amount),
      shares: (+ (get shares pool) minted),
    }))
    (map-set shares { app: app, funder: tx-sender } (+ (get-shares app tx-sender) minted))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok minted)
  )
)

;; Settles an ended epoch as M of its N attesters signed it, and sets the money aside.
(define-public (settle
    (app (buff 32))
    (epoch uint)
    (round uint)
    (inputs (buff 32))
    (root (buff 32))
    (allocated uint)
    (count uint)
    (signatures (list 19 (optional (buff 65))))
  )
  (let (
      (row (unwrap! (contract-call? .attester-quorum rules-at app epoch) ERR_UNKNOWN_EPOCH))
      (end (unwrap! (contract-call? .attester-quorum epoch-end app epoch) ERR_UNKNOWN_EPOCH))
      (terms (get terms row))
      (keys (get keys terms))
      (challenge (get challenge terms))
      (pool (get-pool app))
      (signers (contract-call? .attester-quorum signers
        (settlement-hash app epoch round inputs root allocated count) keys signatures
      ))
      (settlement {
        round: round,
        version: (get version row),
        inputs: inputs,
        root: root,
        allocated: allocated,
        count: count,
        signers: signers,
        challenge: challenge,
      })
      (event (merge settlement {
        topic: "settled",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        epoch: epoch,
      }))
    )
    ;; A round counts the voided settlements of an epoch. No settlement can be voided yet, so there is only the first.
    (asserts! (is-eq round u0) ERR_ROUND)
    (asserts! (>= burn-block-height end) ERR_TOO_EARLY)
    (asserts! (< burn-block-height (- (+ end (get window terms)) (* u2 challenge))) ERR_TOO_LATE)
    (asserts! (is-none (map-get? settlements { app: app, epoch: epoch })) ERR_SETTLED)
    (asserts! (is-eq (len inputs) u32) ERR_INPUTS)
    (asserts! (is-outcome root allocated count) ERR_OUTCOME)
    (asserts! (<= allocated (get budget terms)) ERR_OVER_BUDGET)
    (asserts! (<= allocated (get free pool)) ERR_OVER_FREE)
    ;; Every signature that is given must be that of the key in its position: one that is not is a mistake worth hearing of.
    (asserts!
      (and
        (<= (len signatures) (len keys))
        (is-eq (len (filter is-given signatures)) (len (filter is-true signers)))
      )
      ERR_SIGNATURES
    )
    (asserts!
      (>= (len (filter is-true signers)) (contract-call? .attester-quorum threshold (len keys)))
      ERR_QUORUM
    )
    (map-set settlements { app: app, epoch: epoch }
      (merge settlement { burn: burn-block-height, height: stacks-block-height, paid: u0 })
    )
    (map-set pools app (merge pool {
      free: (- (get free pool) allocated),
      owed: (+ (get owed pool) allocated),
    }))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Pays a leaf of a settled epoch to its recipient, whoever sends this.
(define-public (claim
    (app (buff 32))
    (epoch uint)
    (leaf { index: uint, mirror: uint, recipient: principal, amount: uint })
    (proof (list 24 { hash: (buff 32), left: bool }))
  )
  (let (
      (settlement (unwrap! (map-get? settlements { app: app, epoch: epoch }) ERR_NOT_SETTLED))
      (pool (get-pool app))
      (round (get round settlement))
      (amount (get amount leaf))
      (recipient (get recipient leaf))
      (paid (+ (get paid settlement) amount))
      (event (merge leaf {
        topic: "claimed",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        epoch: epoch,
        round: round,
      }))
    )
    (asserts!
      (is-past (get burn settlement) (get height settlement) (get challenge settlement))
      ERR_NOT_PAYABLE
    )
    (asserts! (< (get index leaf) (get count settlement)) ERR_INDEX)
    (asserts! (is-eq (root-of leaf proof) (get root settlement)) ERR_PROOF)
    (asserts! (and (is-standard recipient) (not (is-eq recipient current-contract))) ERR_RECIPIENT)
    (asserts!
      (map-insert claims { app: app, epoch: epoch, round: round, index: (get index leaf) } true)
      ERR_CLAIMED
    )
    (asserts! (<= paid (get allocated settlement)) ERR_OVER_ALLOCATED)
    (map-set settlements { app: app, epoch: epoch } (merge settlement { paid: paid }))
    (map-set pools app (merge pool {
      owed: (- (get owed pool) amount),
      paid: (+ (get paid pool) amount),
    }))
    (try! (as-contract? ((with-stx amount)) (try! (stx-transfer? amount current-contract recipient))))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
  )
)

;; ---------------------------------------------------------------- private

;; Have burn height and Stacks height both grown by the challenge?
(define-private (is-past (burn uint) (height uint) (challenge uint))
  (and
    (>= burn-block-height (+ burn challenge))
    (>= stacks-block-height (+ height challenge))
  )
)

;; Zero amounts are left out of a tree, so every leaf is at least 1 uSTX.
(define-private (is-outcome (root (buff 32)) (allocated uint) (count uint))
  (and
    (is-eq (len root) u32)
    (<= count allocated)
    (is-eq (is-eq allocated u0) (is-eq count u0))
    (is-eq (is-eq allocated u0) (is-eq root NO_ROOT))
  )
)

(define-private (climb (step { hash: (buff 32), left: bool }) (below (buff 32)))
  (sha256 (concat NODE (if (get left step)
    (concat (get hash step) below)
    (concat below (get hash step))
  )))
)

(define-private (is-given (signature (optional (buff 65))))
  (is-some signature)
)

(define-private (is-true (signed bool))
  signed
)

(define-private (next-seq (app (buff 32)))
  (+ (get seq (get-log app)) u1)
)

;; Appends the hash of an event to the app's log and returns the new head.
(define-private (link (app (buff 32)) (event (buff 32)))
  (let (
      (log (get-log app))
      (head (sha256 (concat (get head log) event)))
    )
    (map-set logs app { seq: (+ (get seq log) u1), head: head })
    head
  )
)
