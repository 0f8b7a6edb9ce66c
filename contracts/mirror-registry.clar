;; mirror-registry: who mirrors an app, from where, and what they put at stake.
;;
;; Holds the operators' bonds, each in its app's asset. Any standard principal may register a mirror of a registered app and is its owner from then on; only
;; the owner changes it, unbonds it and gets the bond back. Nobody else can move a bond, and no bond can be kept from its owner. The owner
;; is who calls, not who sends: no contract that an operator calls can speak for it.
;;
;; Clarity cannot check a Nostr signature, so a node key is unique per app and owner only: which owner a node key belongs to is said
;; by an event that the node key signs.

;; ---------------------------------------------------------------- errors: 200 to 299

(define-constant ERR_UNKNOWN_APP (err u200))
(define-constant ERR_OWNER (err u201))
(define-constant ERR_NODE_KEY (err u202))
(define-constant ERR_ENDPOINT (err u203))
(define-constant ERR_BOND_TOO_LOW (err u204))
(define-constant ERR_MIRROR_EXISTS (err u205))
(define-constant ERR_UNKNOWN_MIRROR (err u206))
(define-constant ERR_NOT_OWNER (err u207))
(define-constant ERR_UNBONDING (err u208))
(define-constant ERR_NOT_UNBONDING (err u209))
(define-constant ERR_NOT_READY (err u210))
(define-constant ERR_WITHDRAWN (err u211))
(define-constant ERR_AMOUNT (err u212))
(define-constant ERR_RETIRED (err u213))

;; ---------------------------------------------------------------- constants

;; The one sBTC contract of the network that this is deployed to: testnet's, which `deployedSource` replaces by mainnet's for mainnet.
(define-constant SBTC 'ST1F7QA2MDF17S807EPA36TSS8AMEFY4KA9TVGWXT.sbtc-token)

;; ---------------------------------------------------------------- state

;; Invariant 1: the contract's balance of each asset is at least the sum of the bonds in it of all mirrors that are not withdrawn.
;; Invariant 2: owner, since and sbtc of a row never change; bond only grows; unbonding and ready are set once, retired once, withdrawn once and
;; after them.
(define-map mirrors
  { app: (buff 32), mirror: uint }
  {
    owner: principal, ;; paid, and alone allowed to change the row
    node-key: (buff 32), ;; x-only Nostr key that lives on the server
    endpoint: (string-ascii 200),
    sbtc: bool, ;; whether the bond is sBTC, as its app's asset; else STX
    bond: uint, ;; uSTX or satoshis held for this mirror until it is withdrawn
    since: uint, ;; burn height of the registration
    unbonding: (optional uint), ;; burn height from which the bond no longer counts
    ready: uint, ;; burn height from which it may be withdrawn, 0 before unbonding
    retired: bool, ;; gone for good: its node key is free again
    withdrawn: bool,
    rows: uint, ;; its newest bond row
  }
)

;; Invariant 3: the n-th row says with which bond a mirror counts in the epochs from <= epoch < until; rows follow each other without gap,
;; and what is said of an epoch that began never changes.
(define-map bonds
  { app: (buff 32), mirror: uint, row: uint }
  { from: uint, until: (optional uint), bond: uint }
)

;; Invariant 4: at most one mirror that is neither retired nor withdrawn per app, owner and node key.
(define-map ids
  { app: (buff 32), owner: principal, node-key: (buff 32) }
  uint
)

;; Invariant 5: mirror ids of an app are 1, 2, 3 ...; id 0 means an attester's fee in a settlement.
(define-map counts
  (buff 32)
  uint
)

;; Invariant 6: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
(define-map logs
  (buff 32)
  { seq: uint, head: (buff 32) }
)

;; ---------------------------------------------------------------- read-only

;; Which mirror has this id?
(define-read-only (get-mirror (app (buff 32)) (mirror uint))
  (map-get? mirrors { app: app, mirror: mirror })
)

;; Which mirror does this owner run with this node key?
(define-read-only (mirror-of (app (buff 32)) (owner principal) (node-key (buff 32)))
  (map-get? ids { app: app, owner: owner, node-key: node-key })
)

;; How many mirrors were ever registered for this app?
(define-read-only (mirror-count (app (buff 32)))
  (default-to u0 (map-get? counts app))
)

;; With which bond does this mirror count in an epoch, past or to come? By the bond row that the asker believes to say it, 0 for the
;; newest; none where that row says nothing of the epoch.
(define-read-only (bond-at (app (buff 32)) (mirror uint) (epoch uint) (hint uint))
  (match (map-get? bonds {
    app: app,
    mirror: mirror,
    row: (if (is-eq hint u0)
      (default-to u0 (get rows (map-get? mirrors { app: app, mirror: mirror })))
      hint
    ),
  })
    row (if (and (>= epoch (get from row)) (match (get until row) until (< epoch until) true))
      (some (get bond row))
      none
    )
    none
  )
)

;; Where does this app's log stand?
(define-read-only (get-log (app (buff 32)))
  (default-to { seq: u0, head: 0x0000000000000000000000000000000000000000000000000000000000000000 }
    (map-get? logs app)
  )
)

;; ---------------------------------------------------------------- public

;; Registers a mirror of the sender and takes its bond.
(define-public (register-mirror
    (app (buff 32))
    (node-key (buff 32))
    (endpoint (string-ascii 200))
    (bond uint)
  )
  (let (
      (owner tx-sender)
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (row (unwrap! (contract-call? .attester-quorum get-rules app (get version now)) ERR_UNKNOWN_APP))
      (mirror (+ (mirror-count app) u1))
      (log (get-log app))
      (event {
        topic: "mirror-registered",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        owner: owner,
        node-key: node-key,
        endpoint: endpoint,
        bond: bond,
      })
    )
    ;; The owner is paid by settlements: a principal that the pool could not pay, or pays to no avail, is refused here.
    (asserts! (and (is-standard owner) (not (is-eq owner .reward-pool)) (not (is-eq owner current-contract))) ERR_OWNER)
    (asserts! (is-eq (len node-key) u32) ERR_NODE_KEY)
    (asserts! (> (len endpoint) u0) ERR_ENDPOINT)
    (asserts! (>= bond (get min-bond (get terms row))) ERR_BOND_TOO_LOW)
    (asserts! (map-insert ids { app: app, owner: owner, node-key: node-key } mirror) ERR_MIRROR_EXISTS)
    (try! (take (get sbtc now) bond owner))
    (map-set counts app mirror)
    (map-set mirrors { app: app, mirror: mirror } {
      owner: owner,
      node-key: node-key,
      endpoint: endpoint,
      sbtc: (get sbtc now),
      bond: bond,
      since: burn-block-height,
      unbonding: none,
      ready: u0,
      retired: false,
      withdrawn: false,
      rows: u1,
    })
    (map-set bonds { app: app, mirror: mirror, row: u1 } { from: (get next now), until: none, bond: bond })
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok mirror)
  )
)

;; Says where the mirror is now.
(define-public (set-endpoint (app (buff 32)) (mirror uint) (endpoint (string-ascii 200)))
  (let (
      (row (try! (owned app mirror)))
      (log (get-log app))
      (event {
        topic: "endpoint-set",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        endpoint: endpoint,
      })
    )
    (asserts! (not (get withdrawn row)) ERR_WITHDRAWN)
    (asserts! (not (get retired row)) ERR_RETIRED)
    (asserts! (> (len endpoint) u0) ERR_ENDPOINT)
    (map-set mirrors { app: app, mirror: mirror } (merge row { endpoint: endpoint }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Names another node key for the server, at once: best done right after an epoch began.
(define-public (replace-node-key (app (buff 32)) (mirror uint) (node-key (buff 32)))
  (let (
      (row (try! (owned app mirror)))
      (owner (get owner row))
      (log (get-log app))
      (event {
        topic: "node-key-replaced",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        node-key: node-key,
      })
    )
    (asserts! (not (get withdrawn row)) ERR_WITHDRAWN)
    (asserts! (not (get retired row)) ERR_RETIRED)
    (asserts! (is-eq (len node-key) u32) ERR_NODE_KEY)
    (asserts! (map-insert ids { app: app, owner: owner, node-key: node-key } mirror) ERR_MIRROR_EXISTS)
    (map-delete ids { app: app, owner: owner, node-key: (get node-key row) })
    (map-set mirrors { app: app, mirror: mirror } (merge row { node-key: node-key }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Adds to the bond. The addition counts from the next epoch on.
(define-public (add-bond (app (buff 32)) (mirror uint) (amount uint))
  (let (
      (row (try! (owned app mirror)))
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (log (get-log app))
      (event {
        topic: "bond-added",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        amount: amount,
      })
    )
    (asserts! (> amount u0) ERR_AMOUNT)
    (asserts! (is-none (get unbonding row)) ERR_UNBONDING)
    (try! (take (get sbtc row) amount contract-caller))
    (map-set mirrors { app: app, mirror: mirror } (merge row {
      bond: (+ (get bond row) amount),
      rows: (count-from app mirror (get rows row) (get next now) (+ (get bond row) amount)),
    }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok (+ (get bond row) amount))
  )
)

;; Starts to take the bond back. It counts for the epoch that runs, for none that begins later, and is ready once that epoch is final.
(define-public (begin-unbond (app (buff 32)) (mirror uint))
  (let (
      (row (try! (owned app mirror)))
      (ready (try! (ready-at app)))
      (log (get-log app))
      (event {
        topic: "unbond-begun",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        ready: ready,
      })
    )
    (asserts! (is-none (get unbonding row)) ERR_UNBONDING)
    (try! (stop-counting app mirror ready))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok ready)
  )
)

;; Says that the mirror is gone for good: frees its node key at once, and starts to take the bond back where that was not done.
(define-public (retire (app (buff 32)) (mirror uint))
  (let (
      (row (try! (owned app mirror)))
      (ready (if (is-some (get unbonding row)) (get ready row) (try! (ready-at app))))
      (log (get-log app))
      (event {
        topic: "mirror-retired",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        ready: ready,
      })
    )
    (asserts! (not (get withdrawn row)) ERR_WITHDRAWN)
    (asserts! (not (get retired row)) ERR_RETIRED)
    (and (is-none (get unbonding row)) (try! (stop-counting app mirror ready)))
    (map-delete ids { app: app, owner: (get owner row), node-key: (get node-key row) })
    (map-set mirrors { app: app, mirror: mirror }
      (merge (unwrap! (get-mirror app mirror) ERR_UNKNOWN_MIRROR) { retired: true })
    )
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok ready)
  )
)

;; Gives the bond back. The owner may then register the same node key again, as a new mirror.
(define-public (withdraw (app (buff 32)) (mirror uint))
  (let (
      (row (try! (owned app mirror)))
      (owner (get owner row))
      (bond (get bond row))
      (log (get-log app))
      (event {
        topic: "bond-withdrawn",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        owner: owner,
        amount: bond,
      })
    )
    (asserts! (is-some (get unbonding row)) ERR_NOT_UNBONDING)
    (asserts! (not (get withdrawn row)) ERR_WITHDRAWN)
    (asserts! (>= burn-block-height (get ready row)) ERR_NOT_READY)
    (map-set mirrors { app: app, mirror: mirror } (merge row { withdrawn: true }))
    ;; A retired mirror's node key may be another's by now.
    (and
      (not (get retired row))
      (map-delete ids { app: app, owner: owner, node-key: (get node-key row) })
    )
    (try! (give (get sbtc row) bond owner))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok bond)
  )
)

;; ---------------------------------------------------------------- private

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

(define-private (owned (app (buff 32)) (mirror uint))
  (let ((row (unwrap! (map-get? mirrors { app: app, mirror: mirror }) ERR_UNKNOWN_MIRROR)))
    (asserts! (is-eq contract-caller (get owner row)) ERR_NOT_OWNER)
    (ok row)
  )
)

;; The burn height by which the epoch that runs is final.
(define-private (ready-at (app (buff 32)))
  (let (
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
      (final (match (contract-call? .attester-quorum rules-at app (get epoch now))
        row (+ (get window (get terms row)) (get challenge (get terms row)))
        u0
      ))
    )
    (ok (+ burn-block-height (get length now) final))
  )
)

(define-private (stop-counting (app (buff 32)) (mirror uint) (ready uint))
  (let (
      (row (unwrap! (get-mirror app mirror) ERR_UNKNOWN_MIRROR))
      (now (unwrap! (contract-call? .attester-quorum clock app) ERR_UNKNOWN_APP))
    )
    (ok (map-set mirrors { app: app, mirror: mirror } (merge row {
      unbonding: (some burn-block-height),
      ready: ready,
      rows: (count-from app mirror (get rows row) (get next now) u0),
    })))
  )
)

;; From this epoch on, the next one, the mirror counts with this bond: in the newest row where that begins there too, else in a new one.
(define-private (count-from (app (buff 32)) (mirror uint) (newest uint) (from uint) (bond uint))
  (let (
      (key { app: app, mirror: mirror, row: newest })
      (row (default-to { from: from, until: none, bond: u0 } (map-get? bonds key)))
      (same (is-eq (get from row) from))
      (index (if same newest (+ newest u1)))
    )
    (and (not same) (map-set bonds key (merge row { until: (some from) })))
    (map-set bonds { app: app, mirror: mirror, row: index } { from: from, until: none, bond: bond })
    index
  )
)

;; Appends the hash of an event to the app's log, as it was read, and returns the new head.
(define-private (link (app (buff 32)) (log { seq: uint, head: (buff 32) }) (event (buff 32)))
  (let ((head (sha256 (concat (get head log) event))))
    (map-set logs app { seq: (+ (get seq log) u1), head: head })
    head
  )
)
