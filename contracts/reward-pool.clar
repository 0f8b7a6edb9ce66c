;; reward-pool: the money that pays mirrors, what was settled, and what was paid.
;;
;; Holds the deposits of all apps, each app's in its own account and in its own asset, STX or sBTC. Anyone may fund, and leave with what is left; anyone who holds M of N
;; attester signatures may settle an epoch; anyone may claim for a recipient, who alone is paid. No other way leads out. A maintainer may
;; void the first settlement of an epoch before it is payable, which returns the money to the account; nobody has another privilege.
;;
;; A deposit is shares of the funders' part of the free money. Shares are minted and redeemed only while the app is quiet: every epoch that
;; ended is final, so no money that is set aside can return and be bought or left behind. At other times a deposit waits, uncounted.
;; What nobody's share stands for (unclaimed payments, what a spent generation left over) is the common part: it is spent first, and leaves
;; only as pay. So a share never rises in value but by the rounding of others' deposits and exits, each below 1 unit.
;;
;; Units: money in the app's asset, uSTX or satoshis; heights in burn blocks unless they say Stacks blocks.

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
(define-constant ERR_NOT_QUIET (err u322))
(define-constant ERR_NOTHING_PARKED (err u323))
(define-constant ERR_SHARES (err u324))
(define-constant ERR_NOT_REQUESTED (err u325))
(define-constant ERR_NOT_READY (err u326))
(define-constant ERR_NOT_MAINTAINER (err u327))
(define-constant ERR_PAYABLE (err u328))
(define-constant ERR_CLAIMABLE (err u329))
(define-constant ERR_SWEPT (err u330))
(define-constant ERR_MIRROR (err u331))
(define-constant ERR_SAME (err u333))
(define-constant ERR_BANNED (err u334))
(define-constant ERR_BONDED (err u335))
(define-constant ERR_NOT_BONDED (err u336))
(define-constant ERR_NOT_OWNER (err u337))
(define-constant ERR_LISTED (err u338))
(define-constant ERR_STANDS (err u339))

;; ---------------------------------------------------------------- constants

;; The one sBTC contract of the network that this is deployed to: testnet's, which `deployedSource` replaces by mainnet's for mainnet.
(define-constant SBTC 'ST1F7QA2MDF17S807EPA36TSS8AMEFY4KA9TVGWXT.sbtc-token)
(define-constant NO_ROOT 0x0000000000000000000000000000000000000000000000000000000000000000)
(define-constant LEAF 0x00)
(define-constant NODE 0x01)
;; A generation of shares closes once one is worth less than a millionth of a unit.
(define-constant MILLION u1000000)
;; Leaves of a range: as many as a uint has bits.
(define-constant RANGE u128)
;; Far above all uSTX and all satoshis that will exist; far enough below 2^128 for a product of shares and money.
(define-constant MAX_AMOUNT u10000000000000000)
;; Mirror ids are far below; what a quorum signs should still be readable by every log reader.
(define-constant MAX_MIRROR u1000000000)
;; Epochs between a request to leave and the exit.
(define-constant EXIT_EPOCHS u2)
;; An account before money came.
(define-constant EMPTY {
  sbtc: false,
  deposited: u0,
  free: u0,
  common: u0,
  parked: u0,
  owed: u0,
  paid: u0,
  refunded: u0,
  bonded: u0,
  slashed: u0,
  shares: u0,
  generation: u0,
  final-burn: u0,
  final-height: u0,
})
;; What is signed begins with "SIP018" and the hash of the domain.
(define-constant STRUCTURED_DATA (concat 0x534950303138 (sha256 (unwrap-panic (to-consensus-buff? {
  name: "understudy",
  version: "1",
  chain-id: chain-id,
})))))

;; ---------------------------------------------------------------- state

;; Invariant 1: deposited + slashed = free + parked + owed + paid + refunded, for every app.
;; Invariant 2: the contract's balance of each asset is at least the sum of free + parked + owed + bonded of all apps with that asset.
;; Invariant 3: common <= free; the funders' part, free - common, is at most shares, and 0 where there are none.
;; Invariant 4: free falls by settlements and, while quiet, by exits only: between the end of an epoch and its settlement or lapse it cannot.
;; Invariant 5: generations only grow, and only while quiet.
(define-map pools
  (buff 32)
  {
    sbtc: bool, ;; the app's asset, as soon as money came: sBTC, else STX
    deposited: uint, ;; ever put in
    free: uint, ;; not yet allocated
    common: uint, ;; the part of it that no share stands for
    parked: uint, ;; deposits that wait for a quiet moment
    owed: uint, ;; allocated, not yet paid
    paid: uint, ;; ever paid out
    refunded: uint, ;; ever taken out by funders
    bonded: uint, ;; bonds of attesters
    slashed: uint, ;; ever taken from bonds into the free money
    shares: uint, ;; of the generation
    generation: uint,
    final-burn: uint, ;; burn height from which every settlement is payable
    final-height: uint, ;; Stacks height from which every settlement is payable
  }
)

;; Invariant 6: the shares of the app's funders in its generation add up to the shares of its pool.
;; Invariant 7: a funder's shares fall by its own exit only; a generation that is over is worth nothing.
(define-map shares
  { app: (buff 32), generation: uint, funder: principal }
  uint
)

;; Invariant 8: the amounts of an app add up to parked of its pool.
(define-map parked
  { app: (buff 32), funder: principal }
  { amount: uint, version: uint, min-shares: uint }
)

;; A funder's wish to leave with so many shares, from an epoch on.
(define-map exits
  { app: (buff 32), funder: principal }
  { generation: uint, shares: uint, ready: uint }
)

;; Invariant 9: at most one live settlement per app and epoch, with allocated <= budget and <= free as it was then.
;; Invariant 10: paid <= allocated, and owed of the pool = the sum of allocated - paid of its live settlements that were not swept.
;; Invariant 11: allocated = 0, count = 0 and root = 32 zero bytes hold together or not at all.
;; Invariant 12: a settlement is voided before it is payable or never; one that was paid from never is.
(define-map settlements
  { app: (buff 32), epoch: uint }
  {
    live: bool, ;; false once voided
    round: uint, ;; how many settlements of this epoch were voided before
    version: uint, ;; the rules row
    inputs: (buff 32),
    root: (buff 32),
    allocated: uint,
    common: uint, ;; how much of it came from the common part
    count: uint, ;; leaves under the root
    signers: (list 19 bool), ;; by position in the keys of the rules row
    burn: uint, ;; burn height of the settlement
    height: uint, ;; Stacks height of the settlement
    challenge: uint, ;; both must have grown by it before anything is paid
    paid: uint,
    swept: bool, ;; what was unclaimed has returned
  }
)

;; Invariant 13: a leaf whose bit is set was paid exactly once. Bit i of range r is leaf 128 r + i.
(define-map claims
  { app: (buff 32), epoch: uint, round: uint, range: uint }
  uint
)

;; Invariant 14: the amounts of an app add up to bonded of its pool; each falls by its owner's call, after the key's last listed epoch is
;; final, or by a ban.
(define-map attesters
  { app: (buff 32), key: (buff 33) }
  { owner: principal, amount: uint }
)

;; Invariant 15: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
(define-map logs
  (buff 32)
  { seq: uint, head: (buff 32) }
)

;; ---------------------------------------------------------------- read-only

;; How much money does this app have?
(define-read-only (get-pool (app (buff 32)))
  (default-to EMPTY (map-get? pools app))
)

;; How many shares of the generation that runs does this funder hold?
(define-read-only (get-shares (app (buff 32)) (funder principal))
  (shares-in app (get generation (get-pool app)) funder)
)

;; Which deposit of this funder waits?
(define-read-only (get-parked (app (buff 32)) (funder principal))
  (map-get? parked { app: app, funder: funder })
)

;; With how many shares does this funder want to leave, and from which epoch on?
(define-read-only (get-exit (app (buff 32)) (funder principal))
  (map-get? exits { app: app, funder: funder })
)

;; Is every epoch of this app that ended final? Only then are shares minted and redeemed.
(define-read-only (is-quiet (app (buff 32)))
  (match (contract-call? .attester-quorum clock app)
    now (let ((pool (get-pool app)))
      (quiet app (get epoch now) (get closes now) (get final-burn pool) (get final-height pool))
    )
    false
  )
)

;; How is this epoch settled?
(define-read-only (get-settlement (app (buff 32)) (epoch uint))
  (match (map-get? settlements { app: app, epoch: epoch })
    row (if (get live row) (some row) none)
    none
  )
)

;; In which round would it settle next: how many of its settlements were voided?
(define-read-only (get-round (app (buff 32)) (epoch uint))
  (match (map-get? settlements { app: app, epoch: epoch })
    row (if (get live row) (get round row) (+ (get round row) u1))
    u0
  )
)

;; Was this leaf paid?
(define-read-only (is-claimed (app (buff 32)) (epoch uint) (round uint) (index uint))
  (is-set (claimed-in app epoch round (/ index RANGE)) (bit-of index))
)

;; May its leaves be claimed? Burn and Stacks height must both have grown: a burn view that stalls skips no challenge.
(define-read-only (is-payable (app (buff 32)) (epoch uint))
  (match (map-get? settlements { app: app, epoch: epoch })
    row (and
      (get live row)
      (is-past burn-block-height stacks-block-height (get burn row) (get height row) (get challenge row))
    )
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
  (sha256 (concat STRUCTURED_DATA
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
  ))
)

;; What does an attester sign as its commitment (SIP-018)?
(define-read-only (commitment-hash (app (buff 32)) (epoch uint) (root (buff 32)) (count uint))
  (sha256 (concat STRUCTURED_DATA
    (sha256 (unwrap-panic (to-consensus-buff? {
      topic: "commitment",
      pool: current-contract,
      app: app,
      epoch: epoch,
      root: root,
      count: count,
    })))
  ))
)

;; What does an attester sign to let an owner put a bond behind its key (SIP-018)?
(define-read-only (bond-hash (app (buff 32)) (owner principal))
  (sha256 (concat STRUCTURED_DATA
    (sha256 (unwrap-panic (to-consensus-buff? {
      topic: "attester-bond",
      pool: current-contract,
      app: app,
      owner: owner,
    })))
  ))
)

;; What is at stake for this key, and whose is it?
(define-read-only (get-attester (app (buff 32)) (key (buff 33)))
  (map-get? attesters { app: app, key: key })
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

;; Deposits for an app whose newest rules the funder names, so that nobody funds rules that they have not read. Returns the shares minted:
;; none while epochs are being settled, when the deposit waits until someone activates it.
(define-public (fund (app (buff 32)) (amount uint) (rules-version uint) (min-shares uint))
  (let (
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (pool (get-pool app))
      (counted (merge pool {
        sbtc: (get sbtc now),
        deposited: (+ (get deposited pool) (least amount MAX_AMOUNT)),
      }))
    )
    (asserts! (is-eq rules-version (get version now)) ERR_RULES_VERSION)
    (asserts! (and (> amount u0) (<= amount MAX_AMOUNT)) ERR_AMOUNT)
    (try! (take (get sbtc now) amount tx-sender))
    (if (quiet app (get epoch now) (get closes now) (get final-burn pool) (get final-height pool))
      (mint app tx-sender amount rules-version min-shares false counted)
      (park app tx-sender amount rules-version min-shares counted)
    )
  )
)

;; Mints the shares of a deposit that waited, whoever sends this. Its funder must have accepted the rules that are newest now.
(define-public (activate (app (buff 32)) (funder principal))
  (let (
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (deposit (unwrap! (map-get? parked { app: app, funder: funder }) ERR_NOTHING_PARKED))
      (amount (get amount deposit))
      (pool (get-pool app))
    )
    (asserts! (quiet app (get epoch now) (get closes now) (get final-burn pool) (get final-height pool)) ERR_NOT_QUIET)
    (asserts! (is-eq (get version deposit) (get version now)) ERR_RULES_VERSION)
    (map-delete parked { app: app, funder: funder })
    (mint app funder amount (get version deposit) (get min-shares deposit) true
      (merge pool { parked: (- (get parked pool) amount) })
    )
  )
)

;; Takes a deposit back that waits, at any time.
(define-public (take-back (app (buff 32)))
  (let (
      (funder contract-caller)
      (amount (get amount (unwrap! (map-get? parked { app: app, funder: funder }) ERR_NOTHING_PARKED)))
      (pool (get-pool app))
      (log (get-log app))
      (event {
        topic: "deposit-returned",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: funder,
        amount: amount,
      })
    )
    (map-delete parked { app: app, funder: funder })
    (map-set pools app (merge pool {
      parked: (- (get parked pool) amount),
      refunded: (+ (get refunded pool) amount),
    }))
    (try! (give (get sbtc pool) amount funder))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
  )
)

;; Asks to leave with these shares, two epochs later. They stay at stake until then. Replaces what was asked before; 0 takes it back.
(define-public (request-exit (app (buff 32)) (amount uint))
  (let (
      (funder contract-caller)
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (generation (get generation (get-pool app)))
      (exit-row { generation: generation, shares: amount, ready: (+ (get epoch now) EXIT_EPOCHS) })
      (log (get-log app))
      (event (merge exit-row {
        topic: "exit-requested",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: funder,
      }))
    )
    (asserts! (<= amount (shares-in app generation funder)) ERR_SHARES)
    (map-set exits { app: app, funder: funder } exit-row)
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok (get ready exit-row))
  )
)

;; Leaves with the shares that were asked for and gets their part of the funders' money, rounded down.
(define-public (exit (app (buff 32)))
  (let (
      (funder contract-caller)
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (wish (unwrap! (map-get? exits { app: app, funder: funder }) ERR_NOT_REQUESTED))
      (pool (get-pool app))
      (generation (get generation pool))
      (burned (get shares wish))
      (held (shares-in app generation funder))
      (amount (if (is-eq burned u0)
        u0
        (/ (* burned (- (get free pool) (get common pool))) (get shares pool))
      ))
      (log (get-log app))
      (event {
        topic: "exited",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: funder,
        generation: generation,
        shares: burned,
        amount: amount,
      })
    )
    (asserts! (and (> burned u0) (is-eq (get generation wish) generation)) ERR_NOT_REQUESTED)
    (asserts! (>= (get epoch now) (get ready wish)) ERR_NOT_READY)
    (asserts! (quiet app (get epoch now) (get closes now) (get final-burn pool) (get final-height pool)) ERR_NOT_QUIET)
    (map-delete exits { app: app, funder: funder })
    (map-set shares { app: app, generation: generation, funder: funder } (- held burned))
    (map-set pools app (merge pool {
      free: (- (get free pool) amount),
      refunded: (+ (get refunded pool) amount),
      shares: (- (get shares pool) burned),
    }))
    ;; What is left of a spent pool may be nothing; there is no transfer of 0.
    (and (> amount u0) (try! (give (get sbtc pool) amount funder)))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
  )
)

;; Settles an ended epoch as M of its N attesters signed it, and sets the money aside. A round counts the voided settlements of the epoch;
;; later rounds have two challenges more time than the first.
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
      ;; Each look at a height is a read.
      (burn burn-block-height)
      (height stacks-block-height)
      (governing (unwrap! (contract-call? .attester-quorum quorum-at app epoch) ERR_UNKNOWN_EPOCH))
      (version (get version governing))
      (end (get end governing))
      (quorum (get quorum governing))
      (terms (get terms quorum))
      (challenge (get challenge terms))
      (pool (get-pool app))
      (free (get free pool))
      (spent-first (get common pool))
      (common (least allocated spent-first))
      (hash (settlement-hash app epoch round inputs root allocated count))
      (signing (signers-of hash (get keys quorum) signatures))
      (signers (standing signing (get banned quorum)))
      (log (get-log app))
      (event {
        topic: "settled",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn,
        height: height,
        epoch: epoch,
        round: round,
        version: version,
        inputs: inputs,
        root: root,
        allocated: allocated,
        common: common,
        count: count,
        signers: signers,
        challenge: challenge,
      })
    )
    (match (map-get? settlements { app: app, epoch: epoch })
      last (begin
        (asserts! (not (get live last)) ERR_SETTLED)
        (asserts! (is-eq round (+ (get round last) u1)) ERR_ROUND)
      )
      (asserts! (is-eq round u0) ERR_ROUND)
    )
    (asserts! (>= burn end) ERR_TOO_EARLY)
    (asserts!
      (< burn (- (+ end (get window terms)) (if (is-eq round u0) (* u2 challenge) u0)))
      ERR_TOO_LATE
    )
    (asserts! (is-eq (len inputs) u32) ERR_INPUTS)
    (asserts! (is-outcome root allocated count) ERR_OUTCOME)
    (asserts! (<= allocated (get budget terms)) ERR_OVER_BUDGET)
    (asserts! (<= allocated free) ERR_OVER_FREE)
    ;; Every signature that is given must be that of the key in its position: one that is not is a mistake worth hearing of.
    (asserts! (is-eq (len (filter is-given signatures)) (len (filter is-true signing))) ERR_SIGNATURES)
    (asserts! (>= (len (filter is-true signers)) (get needed quorum)) ERR_QUORUM)
    (map-set settlements { app: app, epoch: epoch } {
      live: true,
      round: round,
      version: version,
      inputs: inputs,
      root: root,
      allocated: allocated,
      common: common,
      count: count,
      signers: signers,
      burn: burn,
      height: height,
      challenge: challenge,
      paid: u0,
      swept: false,
    })
    ;; By burn heights an epoch ends after the one before it is payable, so the last settlement is the last to be payable; Stacks heights may
    ;; lag behind.
    (map-set pools app (merge pool {
      free: (- free allocated),
      common: (- spent-first common),
      owed: (+ (get owed pool) allocated),
      final-burn: (+ burn challenge),
      final-height: (greatest (get final-height pool) (+ height challenge)),
    }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Voids the first settlement of an epoch before it is payable; the maintainer only, and only the first. The money returns, and the
;; attesters may settle again.
(define-public (veto (app (buff 32)) (epoch uint))
  (let (
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
    )
    (asserts! (is-eq contract-caller (get maintainer now)) ERR_NOT_MAINTAINER)
    (asserts! (is-eq (get round settlement) u0) ERR_ROUND)
    (asserts!
      (not (is-past burn-block-height stacks-block-height (get burn settlement) (get height settlement)
        (get challenge settlement)
      ))
      ERR_PAYABLE
    )
    (ok (void app epoch))
  )
)

;; Adds signatures to a live settlement until it is payable, so that it stands where a signer is banned. Those given before stay.
(define-public (add-signatures
    (app (buff 32))
    (epoch uint)
    (signatures (list 19 (optional (buff 65))))
  )
  (let (
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
      (quorum (unwrap!
        (contract-call? .attester-quorum get-quorum app (get version settlement))
        ERR_UNKNOWN_EPOCH
      ))
      (signing (signers-of
        (settlement-hash app epoch (get round settlement) (get inputs settlement) (get root settlement)
          (get allocated settlement) (get count settlement)
        )
        (get keys quorum) signatures
      ))
      (signers (map either (get keys quorum) (padded (get signers settlement))
        (padded (standing signing (get banned quorum)))
      ))
      (log (get-log app))
      (event {
        topic: "signatures-added",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        epoch: epoch,
        signers: signers,
      })
    )
    (asserts!
      (not (is-past burn-block-height stacks-block-height (get burn settlement) (get height settlement)
        (get challenge settlement)
      ))
      ERR_PAYABLE
    )
    (asserts! (is-eq (len (filter is-given signatures)) (len (filter is-true signing))) ERR_SIGNATURES)
    (map-set settlements { app: app, epoch: epoch } (merge settlement { signers: signers }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Bans an attester that signed two commitments for one epoch, and takes its bond. `version` is the rules row that lists it then.
(define-public (report-commitments
    (app (buff 32))
    (epoch uint)
    (version uint)
    (key (buff 33))
    (one { root: (buff 32), count: uint, signature: (buff 65) })
    (other { root: (buff 32), count: uint, signature: (buff 65) })
  )
  (begin
    (asserts!
      (not (and (is-eq (get root one) (get root other)) (is-eq (get count one) (get count other))))
      ERR_SAME
    )
    (asserts!
      (and
        (signed key (some (get signature one)) (commitment-hash app epoch (get root one) (get count one)))
        (signed key (some (get signature other))
          (commitment-hash app epoch (get root other) (get count other))
        )
      )
      ERR_SIGNATURES
    )
    (convict app epoch version key)
  )
)

;; Bans an attester that signed two outcomes of the same inputs in the same round of an epoch, and takes its bond. Other inputs or another
;; round are no contradiction: an outcome is a function of its inputs.
(define-public (report-settlements
    (app (buff 32))
    (epoch uint)
    (version uint)
    (key (buff 33))
    (round uint)
    (inputs (buff 32))
    (one { root: (buff 32), allocated: uint, count: uint, signature: (buff 65) })
    (other { root: (buff 32), allocated: uint, count: uint, signature: (buff 65) })
  )
  (let (
      (hash (settlement-hash app epoch round inputs (get root one) (get allocated one) (get count one)))
      (contrary (settlement-hash app epoch round inputs (get root other) (get allocated other) (get count other)))
    )
    (asserts! (not (is-eq hash contrary)) ERR_SAME)
    (asserts!
      (and
        (signed key (some (get signature one)) hash)
        (signed key (some (get signature other)) contrary)
      )
      ERR_SIGNATURES
    )
    (convict app epoch version key)
  )
)

;; Voids a settlement that is not payable yet and that fewer than M keys still stand behind, whoever sends this.
(define-public (strike (app (buff 32)) (epoch uint))
  (let (
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
      (quorum (unwrap!
        (contract-call? .attester-quorum get-quorum app (get version settlement))
        ERR_UNKNOWN_EPOCH
      ))
      (signers (standing (get signers settlement) (get banned quorum)))
    )
    (asserts!
      (not (is-past burn-block-height stacks-block-height (get burn settlement) (get height settlement)
        (get challenge settlement)
      ))
      ERR_PAYABLE
    )
    (asserts! (< (len (filter is-true signers)) (get needed quorum)) ERR_STANDS)
    (ok (void app epoch))
  )
)

;; Puts a bond behind an attester's key, which agreed by its signature. More may follow from the same owner.
(define-public (bond-attester (app (buff 32)) (key (buff 33)) (amount uint) (signature (buff 65)))
  (let (
      (owner tx-sender)
      (sbtc (get sbtc (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP)))
      (pool (get-pool app))
      (row (default-to { owner: owner, amount: u0 } (map-get? attesters { app: app, key: key })))
      (log (get-log app))
      (event {
        topic: "attester-bonded",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        key: key,
        owner: owner,
        amount: amount,
      })
    )
    (asserts! (> amount u0) ERR_AMOUNT)
    (asserts! (is-eq owner (get owner row)) ERR_BONDED)
    (asserts! (not (contract-call? .attester-quorum is-banned app key)) ERR_BANNED)
    (asserts! (signed key (some signature) (bond-hash app owner)) ERR_SIGNATURES)
    (try! (take sbtc amount owner))
    (map-set attesters { app: app, key: key } { owner: owner, amount: (+ (get amount row) amount) })
    (map-set pools app (merge pool { sbtc: sbtc, bonded: (+ (get bonded pool) amount) }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok (+ (get amount row) amount))
  )
)

;; Gives an attester's bond back once its last listed epoch is final: neither the newest rules, unless they are over, nor those of the epoch
;; that runs list the key, nor those of the last one, unless its window and challenge are over.
(define-public (withdraw-attester (app (buff 32)) (key (buff 33)))
  (let (
      (row (unwrap! (map-get? attesters { app: app, key: key }) ERR_NOT_BONDED))
      (owner (get owner row))
      (amount (get amount row))
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (epoch (get epoch now))
      (newest (unwrap! (contract-call? .attester-quorum get-rules app (get version now)) ERR_UNKNOWN_APP))
      (pool (get-pool app))
      (log (get-log app))
      (event {
        topic: "attester-withdrawn",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        key: key,
        owner: owner,
        amount: amount,
      })
    )
    (asserts! (is-eq contract-caller owner) ERR_NOT_OWNER)
    (asserts!
      (and
        ;; Rules that were ended list nobody from their end on, whether or not others follow.
        (or
          (is-none (index-of? (get keys (get terms newest)) key))
          (match (get until newest) until (>= epoch until) false)
        )
        (match (contract-call? .attester-quorum rules-at app epoch)
          current (is-none (index-of? (get keys (get terms current)) key))
          true
        )
        (match (contract-call? .attester-quorum rules-at app (if (> epoch u0) (- epoch u1) u0))
          last (or
            (is-none (index-of? (get keys (get terms last)) key))
            (and
              (>= burn-block-height
                (+ (get end last) (get window (get terms last)) (get challenge (get terms last)))
              )
              (>= burn-block-height (get final-burn pool))
              (>= stacks-block-height (get final-height pool))
            )
          )
          true
        )
      )
      ERR_LISTED
    )
    (map-delete attesters { app: app, key: key })
    (map-set pools app (merge pool { bonded: (- (get bonded pool) amount) }))
    (try! (give (get sbtc pool) amount owner))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
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
      ;; Each look at a height is a read.
      (burn burn-block-height)
      (height stacks-block-height)
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
      (pool (get-pool app))
      (round (get round settlement))
      (range (/ (get index leaf) RANGE))
      (claimed (claimed-in app epoch round range))
      (amount (get amount leaf))
      (recipient (get recipient leaf))
      (paid (+ (get paid settlement) (least amount MAX_AMOUNT)))
      (log (get-log app))
      (event (merge leaf {
        topic: "claimed",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn,
        height: height,
        epoch: epoch,
        round: round,
      }))
    )
    (asserts!
      (is-past burn height (get burn settlement) (get height settlement) (get challenge settlement))
      ERR_NOT_PAYABLE
    )
    (asserts! (not (get swept settlement)) ERR_SWEPT)
    (asserts! (< (get index leaf) (get count settlement)) ERR_INDEX)
    (asserts! (is-eq (root-of leaf proof) (get root settlement)) ERR_PROOF)
    (asserts! (<= (get mirror leaf) MAX_MIRROR) ERR_MIRROR)
    (asserts! (and (is-standard recipient) (not (is-eq recipient current-contract))) ERR_RECIPIENT)
    (asserts! (not (is-set claimed (bit-of (get index leaf)))) ERR_CLAIMED)
    (asserts! (<= paid (get allocated settlement)) ERR_OVER_ALLOCATED)
    (map-set claims { app: app, epoch: epoch, round: round, range: range }
      (bit-or claimed (bit-of (get index leaf)))
    )
    (map-set settlements { app: app, epoch: epoch } (merge settlement { paid: paid }))
    (map-set pools app (merge pool {
      owed: (- (get owed pool) amount),
      paid: (+ (get paid pool) amount),
    }))
    (try! (give (get sbtc pool) amount recipient))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
  )
)

;; Pays up to 128 leaves that fill a subtree, an aligned range, to their recipients under one proof, whoever sends this. Leaf p of the list is
;; that of the range whose 7-bit index is p reversed, so each half of a list is the other's siblings; none beyond the last leaf. A leaf that
;; was paid, or cannot be, is skipped and blocks nobody. Returns what was paid.
(define-public (claim-range
    (app (buff 32))
    (epoch uint)
    (leaves (list 128 (optional { index: uint, mirror: uint, recipient: principal, amount: uint })))
    (proof (list 24 { hash: (buff 32), left: bool }))
  )
  (let (
      ;; Each look at a height is a read.
      (burn burn-block-height)
      (height stacks-block-height)
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
      (pool (get-pool app))
      (h7 (map range-leaf leaves))
      (h6 (map join (unwrap! (slice? h7 u0 u64) ERR_PROOF) (unwrap! (slice? h7 u64 u128) ERR_PROOF)))
      (h5 (map join (unwrap! (slice? h6 u0 u32) ERR_PROOF) (unwrap! (slice? h6 u32 u64) ERR_PROOF)))
      (h4 (map join (unwrap! (slice? h5 u0 u16) ERR_PROOF) (unwrap! (slice? h5 u16 u32) ERR_PROOF)))
      (h3 (map join (unwrap! (slice? h4 u0 u8) ERR_PROOF) (unwrap! (slice? h4 u8 u16) ERR_PROOF)))
      (h2 (map join (unwrap! (slice? h3 u0 u4) ERR_PROOF) (unwrap! (slice? h3 u4 u8) ERR_PROOF)))
      (h1 (map join (unwrap! (slice? h2 u0 u2) ERR_PROOF) (unwrap! (slice? h2 u2 u4) ERR_PROOF)))
      (subtree (unwrap!
        (join (unwrap! (element-at? h1 u0) ERR_PROOF) (unwrap! (element-at? h1 u1) ERR_PROOF))
        ERR_PROOF
      ))
      (left (- (get allocated settlement) (get paid settlement)))
      (first (unwrap! (unwrap! (element-at? leaves u0) ERR_PROOF) ERR_PROOF))
      (range (/ (get index first) RANGE))
      (claimed (claimed-in app epoch (get round settlement) range))
    )
    (asserts!
      (is-past burn height (get burn settlement) (get height settlement) (get challenge settlement))
      ERR_NOT_PAYABLE
    )
    (asserts! (not (get swept settlement)) ERR_SWEPT)
    (asserts! (is-eq (fold climb proof subtree) (get root settlement)) ERR_PROOF)
    (let (
        (done (fold choose leaves {
          range: range,
          count: (get count settlement),
          left: left,
          claimed: claimed,
        }))
        (amount (- left (get left done)))
        ;; Bit i: leaf 128 range + i is paid now.
        (paid (bit-xor claimed (get claimed done)))
        (log (get-log app))
        (event {
          topic: "range-claimed",
          app: app,
          seq: (+ (get seq log) u1),
          burn: burn,
          height: height,
          epoch: epoch,
          round: (get round settlement),
          amount: amount,
          range: range,
          paid: paid,
          leaves: leaves,
        })
      )
      (asserts! (> amount u0) ERR_CLAIMED)
      (try! (if (get sbtc pool)
        (as-contract? ((with-ft SBTC "sbtc-token" amount))
          (try! (contract-call? SBTC transfer-many
            (get due (fold collect leaves { bits: paid, due: (list) }))
          ))
        )
        (as-contract? ((with-stx amount)) (try! (fold send leaves (ok paid))))
      ))
      (map-set claims { app: app, epoch: epoch, round: (get round settlement), range: range }
        (get claimed done)
      )
      (map-set settlements { app: app, epoch: epoch }
        (merge settlement { paid: (+ (get paid settlement) amount) })
      )
      (map-set pools app (merge pool {
        owed: (- (get owed pool) amount),
        paid: (+ (get paid pool) amount),
      }))
      (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
      (ok amount)
    )
  )
)

;; Returns what nobody claimed of an epoch in its claim period, whoever sends this. It pays later epochs, and no funder.
(define-public (sweep (app (buff 32)) (epoch uint))
  (let (
      (settlement (unwrap! (get-settlement app epoch) ERR_NOT_SETTLED))
      (rules (unwrap!
        (contract-call? .attester-quorum get-rules app (get version settlement))
        ERR_UNKNOWN_EPOCH
      ))
      (pool (get-pool app))
      (amount (- (get allocated settlement) (get paid settlement)))
      (log (get-log app))
      (event {
        topic: "swept",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        epoch: epoch,
        amount: amount,
      })
    )
    (asserts! (not (get swept settlement)) ERR_SWEPT)
    (asserts!
      (and
        (is-past burn-block-height stacks-block-height (get burn settlement) (get height settlement)
          (get challenge settlement)
        )
        (>= burn-block-height
          (+ (get burn settlement) (get challenge settlement) (get claim-period (get terms rules)))
        )
      )
      ERR_CLAIMABLE
    )
    (map-set settlements { app: app, epoch: epoch } (merge settlement { swept: true }))
    (map-set pools app (merge pool {
      free: (+ (get free pool) amount),
      common: (+ (get common pool) amount),
      owed: (- (get owed pool) amount),
    }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok amount)
  )
)

;; ---------------------------------------------------------------- private

;; Is every ended epoch final? `closes` is when the last one can no longer be settled; earlier ones cannot any more, since a window is at most
;; half an epoch. What was settled must be payable, all of it: while no Stacks blocks come, that takes longer than an epoch.
(define-private (quiet
    (app (buff 32))
    (epoch uint)
    (closes uint)
    (final-burn uint)
    (final-height uint)
  )
  (and
    (>= burn-block-height final-burn)
    (>= stacks-block-height final-height)
    (or
      (>= burn-block-height closes)
      (is-some (get-settlement app (- epoch u1)))
    )
  )
)

;; Mints the shares of a deposit that `pool` counts already in `deposited` and no longer in `parked`. A generation of which a share is worth
;; less than a millionth of a unit is over: what is left of it becomes common.
(define-private (mint
    (app (buff 32))
    (funder principal)
    (amount uint)
    (version uint)
    (min-shares uint)
    (waited bool)
    (pool {
      sbtc: bool,
      deposited: uint,
      free: uint,
      common: uint,
      parked: uint,
      owed: uint,
      paid: uint,
      refunded: uint,
      bonded: uint,
      slashed: uint,
      shares: uint,
      generation: uint,
      final-burn: uint,
      final-height: uint,
    })
  )
  (let (
      (total (get shares pool))
      (owned (- (get free pool) (get common pool)))
      (over (< (* owned MILLION) total))
      (minted (if (or over (is-eq total u0)) amount (/ (* amount total) owned)))
      (generation (if over (+ (get generation pool) u1) (get generation pool)))
      (log (get-log app))
      (event {
        topic: "funded",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: funder,
        amount: amount,
        shares: minted,
        generation: generation,
        version: version,
        waited: waited,
      })
    )
    (asserts! (>= minted min-shares) ERR_MIN_SHARES)
    (map-set pools app (merge pool {
      free: (+ (get free pool) amount),
      common: (if over (get free pool) (get common pool)),
      shares: (if over minted (+ total minted)),
      generation: generation,
    }))
    (map-set shares { app: app, generation: generation, funder: funder }
      (+ (shares-in app generation funder) minted)
    )
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok minted)
  )
)

;; Keeps a deposit until a quiet moment, with what its funder parked before.
(define-private (park
    (app (buff 32))
    (funder principal)
    (amount uint)
    (version uint)
    (min-shares uint)
    (pool {
      sbtc: bool,
      deposited: uint,
      free: uint,
      common: uint,
      parked: uint,
      owed: uint,
      paid: uint,
      refunded: uint,
      bonded: uint,
      slashed: uint,
      shares: uint,
      generation: uint,
      final-burn: uint,
      final-height: uint,
    })
  )
  (let (
      (before (default-to { amount: u0, version: version, min-shares: u0 }
        (map-get? parked { app: app, funder: funder })
      ))
      (log (get-log app))
      (event {
        topic: "deposit-parked",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        funder: funder,
        amount: amount,
        version: version,
        min-shares: min-shares,
      })
    )
    (asserts! (<= min-shares MAX_AMOUNT) ERR_MIN_SHARES)
    (map-set parked { app: app, funder: funder } {
      amount: (+ (get amount before) amount),
      version: version,
      min-shares: (+ (get min-shares before) min-shares),
    })
    (map-set pools app (merge pool { parked: (+ (get parked pool) amount) }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok u0)
  )
)

;; Takes a live settlement back that is not payable yet, and returns the money to the parts that it came from.
(define-private (void (app (buff 32)) (epoch uint))
  (match (map-get? settlements { app: app, epoch: epoch })
    settlement (let (
        (pool (get-pool app))
        (allocated (get allocated settlement))
        (log (get-log app))
        (event {
          topic: "voided",
          app: app,
          seq: (+ (get seq log) u1),
          burn: burn-block-height,
          height: stacks-block-height,
          epoch: epoch,
          round: (get round settlement),
        })
      )
      (map-set settlements { app: app, epoch: epoch } (merge settlement { live: false }))
      (map-set pools app (merge pool {
        free: (+ (get free pool) allocated),
        common: (+ (get common pool) (get common settlement)),
        owed: (- (get owed pool) allocated),
      }))
      (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
      true
    )
    false
  )
)

;; Bans a key that a rules row of this epoch lists: takes its bond, a tenth for the caller and the rest for the common part, and voids the
;; epoch's settlement where it cannot stand without the key.
(define-private (convict (app (buff 32)) (epoch uint) (version uint) (key (buff 33)))
  (let (
      (bond (default-to u0 (get amount (map-get? attesters { app: app, key: key }))))
      (reward (/ bond u10))
      (reporter contract-caller)
      (pool (get-pool app))
      (log (get-log app))
      (event {
        topic: "banned",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        key: key,
        epoch: epoch,
        reporter: reporter,
        bond: bond,
        reward: reward,
      })
    )
    (asserts! (is-some (contract-call? .attester-quorum rules-by app epoch version)) ERR_UNKNOWN_EPOCH)
    (try! (contract-call? .attester-quorum ban app version key))
    (map-delete attesters { app: app, key: key })
    (map-set pools app (merge pool {
      free: (+ (get free pool) (- bond reward)),
      common: (+ (get common pool) (- bond reward)),
      bonded: (- (get bonded pool) bond),
      slashed: (+ (get slashed pool) (- bond reward)),
    }))
    (and (> reward u0) (try! (give (get sbtc pool) reward reporter)))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    ;; Nothing to void, or not any more, is no reason to let the key go.
    (ok (is-ok (strike app epoch)))
  )
)

;; Who of these signers is not banned? `banned` is by position, and empty where nobody is.
(define-private (standing (signers (list 19 bool)) (banned (list 19 bool)))
  (if (or (is-eq (len banned) u0) (is-eq (len signers) u0)) signers (map stands signers banned))
)

(define-private (stands (signer bool) (banned bool))
  (and signer (not banned))
)

;; Positions as a list of 19, so that shorter ones can be mapped over together; the keys end the map.
(define-private (padded (signers (list 19 bool)))
  (default-to signers (as-max-len?
    (concat signers (default-to (list)
      (slice? (list
        false false false false false false false false false false
        false false false false false false false false false
      ) (len signers) u19)
    ))
    u19
  ))
)

(define-private (either (key (buff 33)) (a bool) (b bool))
  (or a b)
)

(define-private (shares-in (app (buff 32)) (generation uint) (funder principal))
  (default-to u0 (map-get? shares { app: app, generation: generation, funder: funder }))
)

(define-private (least (a uint) (b uint))
  (if (< a b) a b)
)

(define-private (greatest (a uint) (b uint))
  (if (> a b) a b)
)

;; Which keys signed this hash? Signatures are positional: the i-th must be that of the i-th key.
(define-private (signers-of
    (hash (buff 32))
    (keys (list 19 (buff 33)))
    (signatures (list 19 (optional (buff 65))))
  )
  ;; A function given to `map` sees nothing but its elements, so the hash is handed to it once per key; a list costs by its length. Clarity
  ;; refuses to map over an empty list together with others.
  (if (is-eq (len signatures) u0)
    (list)
    (map signed keys signatures (if (<= (len signatures) u3)
      (list hash hash hash)
      (list
        hash hash hash hash hash hash hash hash hash hash
        hash hash hash hash hash hash hash hash hash
      )
    ))
  )
)

(define-private (signed (key (buff 33)) (signature (optional (buff 65))) (hash (buff 32)))
  (match signature
    rs (secp256k1-verify hash rs key)
    false
  )
)

;; Have burn height and Stacks height both grown by the challenge since? The heights of now are the caller's, which may need them again.
(define-private (is-past (burn uint) (height uint) (since-burn uint) (since-height uint) (challenge uint))
  (and
    (>= burn (+ since-burn challenge))
    (>= height (+ since-height challenge))
  )
)

;; Zero amounts are left out of a tree, so every leaf is at least 1.
(define-private (is-outcome (root (buff 32)) (allocated uint) (count uint))
  (if (is-eq allocated u0)
    (and (is-eq count u0) (is-eq root NO_ROOT))
    (and (> count u0) (<= count allocated) (is-eq (len root) u32) (not (is-eq root NO_ROOT)))
  )
)

(define-private (climb (step { hash: (buff 32), left: bool }) (below (buff 32)))
  (sha256 (concat NODE (if (get left step)
    (concat (get hash step) below)
    (concat below (get hash step))
  )))
)

;; The hash of a leaf of a range, where there is one.
(define-private (range-leaf (leaf (optional { index: uint, mirror: uint, recipient: principal, amount: uint })))
  (match leaf
    some-leaf (some (leaf-hash some-leaf))
    none
  )
)

;; The node above two siblings; a node without a sibling is promoted.
(define-private (join (left (optional (buff 32))) (right (optional (buff 32))))
  (match left
    l (match right
      r (some (sha256 (concat NODE (concat l r))))
      left
    )
    right
  )
)

;; Takes a leaf of a range among those that are due, unless something is against it. What is due can be transferred: sBTC moves all or nothing.
(define-private (choose
    (leaf (optional { index: uint, mirror: uint, recipient: principal, amount: uint }))
    (so-far {
      range: uint,
      count: uint,
      left: uint,
      claimed: uint,
    })
  )
  (match leaf
    next (let (
        (amount (get amount next))
        (recipient (get recipient next))
        (bit (bit-of (get index next)))
      )
      (if (and
          (> amount u0)
          (<= amount (get left so-far))
          (< (get index next) (get count so-far))
          (is-eq (/ (get index next) RANGE) (get range so-far))
          (not (is-set (get claimed so-far) bit))
          (<= (get mirror next) MAX_MIRROR)
          (is-standard recipient)
          (not (is-eq recipient current-contract))
        )
        {
          range: (get range so-far),
          count: (get count so-far),
          left: (- (get left so-far) amount),
          claimed: (bit-or (get claimed so-far) bit),
        }
        so-far
      )
    )
    so-far
  )
)

;; Lists the transfer of a leaf whose bit is set, for sBTC, and clears the bit. Apart from `choose`, because a long list costs wherever it
;; is named.
(define-private (collect
    (leaf (optional { index: uint, mirror: uint, recipient: principal, amount: uint }))
    (so-far {
      bits: uint,
      due: (list 128 { amount: uint, sender: principal, to: principal, memo: (optional (buff 34)) }),
    })
  )
  (match leaf
    next (let (
        (bits (get bits so-far))
        (bit (bit-of (get index next)))
      )
      (if (is-set bits bit)
        {
          bits: (bit-xor bits bit),
          due: (unwrap! (as-max-len? (append (get due so-far) {
            amount: (get amount next),
            sender: current-contract,
            to: (get recipient next),
            memo: none,
          }) u128) so-far),
        }
        so-far
      )
    )
    so-far
  )
)

;; Pays a leaf whose bit is set, in STX and as the contract, and clears the bit.
(define-private (send
    (leaf (optional { index: uint, mirror: uint, recipient: principal, amount: uint }))
    (so-far (response uint uint))
  )
  (match leaf
    next (match so-far
      bits (let ((bit (bit-of (get index next))))
        (if (is-set bits bit)
          (begin
            (try! (stx-transfer? (get amount next) current-contract (get recipient next)))
            (ok (bit-xor bits bit))
          )
          so-far
        )
      )
      failed so-far
    )
    so-far
  )
)

;; Which leaves of a range were paid?
(define-private (claimed-in (app (buff 32)) (epoch uint) (round uint) (range uint))
  (default-to u0 (map-get? claims { app: app, epoch: epoch, round: round, range: range }))
)

(define-private (bit-of (index uint))
  (bit-shift-left u1 (mod index RANGE))
)

(define-private (is-set (bits uint) (bit uint))
  (> (bit-and bits bit) u0)
)

;; Takes money of an app's asset from who sends it.
(define-private (take (sbtc bool) (amount uint) (from principal))
  (if sbtc
    (contract-call? SBTC transfer amount from current-contract none)
    (stx-transfer? amount from current-contract)
  )
)

;; Gives money of an app's asset, and lets nothing else leave.
(define-private (give (sbtc bool) (amount uint) (to principal))
  (if sbtc
    (as-contract? ((with-ft SBTC "sbtc-token" amount))
      (try! (contract-call? SBTC transfer amount current-contract to none))
    )
    (as-contract? ((with-stx amount)) (try! (stx-transfer? amount current-contract to)))
  )
)

(define-private (is-given (signature (optional (buff 65))))
  (is-some signature)
)

(define-private (is-true (value bool))
  value
)

;; Appends the hash of an event to the app's log, as it was read, and returns the new head.
(define-private (link (app (buff 32)) (log { seq: uint, head: (buff 32) }) (event (buff 32)))
  (let ((head (sha256 (concat (get head log) event))))
    (map-set logs app { seq: (+ (get seq log) u1), head: head })
    head
  )
)
