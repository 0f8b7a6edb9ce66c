;; mirror-registry: who mirrors an app, from where, and what they put at stake.
;;
;; Holds the operators' bonds. Any standard principal may register a mirror of a registered app and is its owner from then on; only
;; the owner changes it, unbonds it and gets the bond back. Nobody else can move a bond, and no bond can be kept from its owner.
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

;; ---------------------------------------------------------------- state

;; Invariant 1: the contract's balance is at least the sum of the bonds of all mirrors that are not withdrawn.
;; Invariant 2: owner, node-key, bond and since of a row never change; unbonding and ready are set once, withdrawn once, in that order.
(define-map mirrors
  { app: (buff 32), mirror: uint }
  {
    owner: principal, ;; paid, and alone allowed to change the row
    node-key: (buff 32), ;; x-only Nostr key that lives on the server
    endpoint: (string-ascii 200),
    bond: uint, ;; uSTX
    since: uint, ;; burn height of the registration
    unbonding: (optional uint), ;; burn height from which the bond no longer counts
    ready: uint, ;; burn height from which it may be withdrawn, 0 before unbonding
    withdrawn: bool,
  }
)

;; Invariant 3: at most one mirror that is not withdrawn per app, owner and node key.
(define-map ids
  { app: (buff 32), owner: principal, node-key: (buff 32) }
  uint
)

;; Invariant 4: mirror ids of an app are 1, 2, 3 ...; id 0 means an attester's fee in a settlement.
(define-map counts
  (buff 32)
  uint
)

;; Invariant 5: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
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

;; Which bond does this mirror count with in an epoch that begins at this burn height?
(define-read-only (bond-at (app (buff 32)) (mirror uint) (begin-height uint))
  (match (map-get? mirrors { app: app, mirror: mirror })
    row (if (and
        (< (get since row) begin-height)
        (match (get unbonding row) since (>= since begin-height) true)
      )
      (get bond row)
      u0
    )
    u0
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
      (version (get version (unwrap! (contract-call? .attester-quorum get-app app) ERR_UNKNOWN_APP)))
      (row (unwrap! (contract-call? .attester-quorum get-rules app version) ERR_UNKNOWN_APP))
      (mirror (+ (mirror-count app) u1))
      (event {
        topic: "mirror-registered",
        app: app,
        seq: (next-seq app),
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
    (try! (stx-transfer? bond owner current-contract))
    (map-set counts app mirror)
    (map-set mirrors { app: app, mirror: mirror } {
      owner: owner,
      node-key: node-key,
      endpoint: endpoint,
      bond: bond,
      since: burn-block-height,
      unbonding: none,
      ready: u0,
      withdrawn: false,
    })
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok mirror)
  )
)

;; Says where the mirror is now.
(define-public (set-endpoint (app (buff 32)) (mirror uint) (endpoint (string-ascii 200)))
  (let (
      (row (try! (owned app mirror)))
      (event {
        topic: "endpoint-set",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        endpoint: endpoint,
      })
    )
    (asserts! (not (get withdrawn row)) ERR_WITHDRAWN)
    (asserts! (> (len endpoint) u0) ERR_ENDPOINT)
    (map-set mirrors { app: app, mirror: mirror } (merge row { endpoint: endpoint }))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Starts to take the bond back. It counts for the epoch that runs, for none that begins later, and is ready once that epoch is final.
(define-public (begin-unbond (app (buff 32)) (mirror uint))
  (let (
      (row (try! (owned app mirror)))
      (schedule (unwrap! (contract-call? .attester-quorum get-app app) ERR_UNKNOWN_APP))
      (terms (get terms (unwrap!
        (contract-call? .attester-quorum get-rules app (get version schedule))
        ERR_UNKNOWN_APP
      )))
      (ready (+ burn-block-height (get length schedule) (get window terms) (get challenge terms)))
      (event {
        topic: "unbond-begun",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        mirror: mirror,
        ready: ready,
      })
    )
    (asserts! (is-none (get unbonding row)) ERR_UNBONDING)
    (map-set mirrors { app: app, mirror: mirror } (merge row { unbonding: (some burn-block-height), ready: ready }))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok ready)
  )
)

;; Gives the bond back. The owner may then register the same node key again, as a new mirror.
(define-public (withdraw (app (buff 32)) (mirror uint))
  (let (
      (row (try! (owned app mirror)))
      (owner (get owner row))
      (bond (get bond row))
      (event {
        topic: "bond-withdrawn",
        app: app,
        seq: (next-seq app),
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
    (map-delete ids { app: app, owner: owner, node-key: (get node-key row) })
    (try! (as-contract? ((with-stx bond)) (try! (stx-transfer? bond current-contract owner))))
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok bond)
  )
)

;; ---------------------------------------------------------------- private

(define-private (owned (app (buff 32)) (mirror uint))
  (let ((row (unwrap! (map-get? mirrors { app: app, mirror: mirror }) ERR_UNKNOWN_MIRROR)))
    (asserts! (is-eq tx-sender (get owner row)) ERR_NOT_OWNER)
    (ok row)
  )
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
