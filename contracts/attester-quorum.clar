;; attester-quorum: the apps, the rules that their epochs are paid by, and the keys whose signatures settle them.
;;
;; Holds no money and calls no contract. Anyone may register an app and is its maintainer from then on; anyone may read.
;; There is no owner key, no admin and no upgrade hook.
;;
;; Units: money in uSTX, heights and durations in burn blocks, shares of one in ppm (10^6).

;; ---------------------------------------------------------------- errors: 100 to 199

(define-constant ERR_APP_EXISTS (err u100))
(define-constant ERR_COORDINATE (err u101))
(define-constant ERR_START (err u102))
(define-constant ERR_LENGTH (err u103))
(define-constant ERR_NOTICE (err u104))
(define-constant ERR_CAP (err u105))
(define-constant ERR_BUDGET (err u106))
(define-constant ERR_KEY_COUNT (err u107))
(define-constant ERR_KEYS (err u108))
(define-constant ERR_PLACES (err u109))
(define-constant ERR_LEVELS (err u110))
(define-constant ERR_FLOOR (err u111))
(define-constant ERR_DOMAIN_BOND (err u112))
(define-constant ERR_FEE (err u113))
(define-constant ERR_GRACE (err u114))
(define-constant ERR_MIN_BOND (err u115))
(define-constant ERR_FAULTS (err u116))
(define-constant ERR_WINDOW (err u117))
(define-constant ERR_CHALLENGE (err u118))
(define-constant ERR_CLAIM_PERIOD (err u119))
(define-constant ERR_RELEASE_KEY (err u120))

;; ---------------------------------------------------------------- constants

(define-constant PPM u1000000)
;; About a year: the longest epoch, the farthest start, the longest grace and claim period.
(define-constant MAX_BLOCKS u52560)
(define-constant MIN_NOTICE u3)
(define-constant MIN_CHALLENGE u6)
;; "30617:", the kind of a NIP-34 repository announcement.
(define-constant COORDINATE_PREFIX 0x33303631373a)
(define-constant COLON 0x3a)
(define-constant EVEN_Y 0x02)

;; ---------------------------------------------------------------- state

;; Invariant 1: an app is never removed, and only `version` of its row ever changes.
(define-map apps
  (buff 32) ;; app id = sha256 of the coordinate
  {
    maintainer: principal,
    start: uint, ;; burn height of the first block of epoch 0
    length: uint, ;; burn blocks of an epoch
    notice: uint, ;; epochs between a change of the rules and its effect
    cap: uint, ;; no epoch's budget is above it, whatever the rules say
    version: uint, ;; the newest rules row
  }
)

;; Invariant 2: version v governs the epochs from <= n < until; rows v = 1 .. version follow each other without gap or overlap.
;; Invariant 3: the terms of a row never change, and all of them passed `check-terms`.
(define-map rules
  { app: (buff 32), version: uint }
  {
    from: uint,
    until: (optional uint),
    terms: {
      budget: uint, ;; uSTX for one epoch, attester fees included
      keys: (list 19 (buff 33)), ;; N = 2M - 1 attester keys, 0x02 then x, strictly ascending
      places: uint, ;; T, the target number of places
      levels: (list 3 (string-ascii 16)), ;; the levels that count, coarse to fine
      floor: uint, ;; ppm of availability below which a mirror earns nothing
      domain-bond: uint, ;; uSTX of bond that counts in one domain
      fee: uint, ;; uSTX to all attesters together
      grace: uint, ;; burn blocks that a mirror may lag behind a release
      min-bond: uint, ;; uSTX
      faults: uint, ;; f, attesters whose distances may be wrong
      window: uint, ;; W, burn blocks after an epoch in which it may settle
      challenge: uint, ;; C, burn and Stacks blocks between a settlement and its payment
      claim-period: uint, ;; burn blocks in which a payment may be claimed
      release-key: (buff 32), ;; x-only key that signs releases
      min-seq: uint, ;; releases below it are not served
    },
  }
)

;; Invariant 4: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
(define-map logs
  (buff 32)
  { seq: uint, head: (buff 32) }
)

;; ---------------------------------------------------------------- read-only

;; Which app has this id?
(define-read-only (get-app (app (buff 32)))
  (map-get? apps app)
)

;; What does this version of its rules say?
(define-read-only (get-rules (app (buff 32)) (version uint))
  (map-get? rules { app: app, version: version })
)

;; Which rules govern this epoch, however late it is settled?
(define-read-only (rules-at (app (buff 32)) (epoch uint))
  (let (
      (version (get version (unwrap! (map-get? apps app) none)))
      (row (unwrap! (map-get? rules { app: app, version: version }) none))
    )
    (if (and (>= epoch (get from row)) (match (get until row) until (< epoch until) true))
      (some (merge row { version: version }))
      none
    )
  )
)

;; At which burn height does this epoch begin?
(define-read-only (epoch-begin (app (buff 32)) (epoch uint))
  (match (map-get? apps app)
    row (some (+ (get start row) (* epoch (get length row))))
    none
  )
)

;; At which burn height is this epoch over? The first block that is no longer part of it.
(define-read-only (epoch-end (app (buff 32)) (epoch uint))
  (epoch-begin app (+ epoch u1))
)

;; How many of n keys must sign? M of N = 2M - 1.
(define-read-only (threshold (n uint))
  (/ (+ n u1) u2)
)

;; Which keys signed this hash? Signatures are positional: the i-th must be that of the i-th key.
(define-read-only (signers
    (hash (buff 32))
    (keys (list 19 (buff 33)))
    (signatures (list 19 (optional (buff 65))))
  )
  ;; A function given to `map` sees nothing but its elements, so the hash is handed to it once per key. Clarity refuses to map over an
  ;; empty list together with others.
  (if (is-eq (len signatures) u0)
    (list)
    (map signed keys signatures (list
      hash hash hash hash hash hash hash hash hash hash
      hash hash hash hash hash hash hash hash hash
    ))
  )
)

;; Where does this app's log stand?
(define-read-only (get-log (app (buff 32)))
  (default-to { seq: u0, head: 0x0000000000000000000000000000000000000000000000000000000000000000 }
    (map-get? logs app)
  )
)

;; ---------------------------------------------------------------- public

;; Registers the app of a repository announcement, `30617:<maintainer pubkey, 64 hex digits>:<d>`. The sender maintains it.
(define-public (register-app
    (coordinate (buff 256))
    (schedule { start: uint, length: uint, notice: uint, cap: uint })
    (terms {
      budget: uint,
      keys: (list 19 (buff 33)),
      places: uint,
      levels: (list 3 (string-ascii 16)),
      floor: uint,
      domain-bond: uint,
      fee: uint,
      grace: uint,
      min-bond: uint,
      faults: uint,
      window: uint,
      challenge: uint,
      claim-period: uint,
      release-key: (buff 32),
      min-seq: uint,
    })
  )
  (let (
      (app (sha256 coordinate))
      (event (merge schedule {
        topic: "app-registered",
        app: app,
        seq: (next-seq app),
        burn: burn-block-height,
        height: stacks-block-height,
        coordinate: coordinate,
        maintainer: tx-sender,
        version: u1,
        from: u0,
        terms: terms,
      }))
    )
    (asserts! (is-none (map-get? apps app)) ERR_APP_EXISTS)
    (asserts! (is-coordinate coordinate) ERR_COORDINATE)
    (try! (check-schedule schedule))
    (try! (check-terms schedule terms))
    (map-set apps app (merge schedule { maintainer: tx-sender, version: u1 }))
    (map-set rules { app: app, version: u1 } { from: u0, until: none, terms: terms })
    (print (merge event { head: (link app (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok app)
  )
)

;; ---------------------------------------------------------------- private

(define-private (is-coordinate (coordinate (buff 256)))
  (and
    (is-eq (slice? coordinate u0 u6) (some COORDINATE_PREFIX))
    (is-eq (slice? coordinate u70 u71) (some COLON))
    (> (len coordinate) u71)
  )
)

(define-private (check-schedule (schedule { start: uint, length: uint, notice: uint, cap: uint }))
  (begin
    (asserts!
      (and
        (> (get start schedule) burn-block-height)
        (<= (get start schedule) (+ burn-block-height MAX_BLOCKS))
      )
      ERR_START
    )
    (asserts! (and (> (get length schedule) u0) (<= (get length schedule) MAX_BLOCKS)) ERR_LENGTH)
    (asserts! (and (>= (get notice schedule) MIN_NOTICE) (<= (get notice schedule) MAX_BLOCKS)) ERR_NOTICE)
    (asserts! (> (get cap schedule) u0) ERR_CAP)
    (ok true)
  )
)

(define-private (check-terms
    (schedule { start: uint, length: uint, notice: uint, cap: uint })
    (terms {
      budget: uint,
      keys: (list 19 (buff 33)),
      places: uint,
      levels: (list 3 (string-ascii 16)),
      floor: uint,
      domain-bond: uint,
      fee: uint,
      grace: uint,
      min-bond: uint,
      faults: uint,
      window: uint,
      challenge: uint,
      claim-period: uint,
      release-key: (buff 32),
      min-seq: uint,
    })
  )
  (begin
    (asserts! (and (> (get budget terms) u0) (<= (get budget terms) (get cap schedule))) ERR_BUDGET)
    ;; Odd: with N = 2M - 1 two sets of M signers always share one.
    (asserts! (is-eq (mod (len (get keys terms)) u2) u1) ERR_KEY_COUNT)
    (asserts! (is-some (fold check-key (get keys terms) (some 0x))) ERR_KEYS)
    (asserts! (> (get places terms) u0) ERR_PLACES)
    (asserts!
      (and
        (> (len (get levels terms)) u0)
        (is-some (fold check-level (get levels terms) (some u0)))
      )
      ERR_LEVELS
    )
    (asserts! (<= (get floor terms) PPM) ERR_FLOOR)
    (asserts! (>= (get domain-bond terms) (get min-bond terms)) ERR_DOMAIN_BOND)
    (asserts! (<= (get fee terms) (get budget terms)) ERR_FEE)
    (asserts! (<= (get grace terms) MAX_BLOCKS) ERR_GRACE)
    (asserts! (> (get min-bond terms) u0) ERR_MIN_BOND)
    (asserts! (< (get faults terms) (len (get keys terms))) ERR_FAULTS)
    ;; An epoch is final, by window + challenge, before the next one ends.
    (asserts! (<= (get window terms) (/ (get length schedule) u2)) ERR_WINDOW)
    (asserts!
      (and
        (>= (get challenge terms) MIN_CHALLENGE)
        (<= (get challenge terms) (/ (get window terms) u4))
      )
      ERR_CHALLENGE
    )
    (asserts!
      (and
        (>= (get claim-period terms) (get length schedule))
        (<= (get claim-period terms) MAX_BLOCKS)
      )
      ERR_CLAIM_PERIOD
    )
    (asserts! (is-eq (len (get release-key terms)) u32) ERR_RELEASE_KEY)
    (ok true)
  )
)

;; `last` is the key before this one, or none once a key was refused.
(define-private (check-key (key (buff 33)) (last (optional (buff 33))))
  (match last
    previous (if (and
        (is-eq (len key) u33)
        (is-eq (slice? key u0 u1) (some EVEN_Y))
        (> key previous)
      )
      (some key)
      none
    )
    none
  )
)

;; `lowest` is the least rank that may still follow, or none once a level was refused.
(define-private (check-level (level (string-ascii 16)) (lowest (optional uint)))
  (match lowest
    least (match (level-rank level)
      rank (if (>= rank least) (some (+ rank u1)) none)
      none
    )
    none
  )
)

(define-private (level-rank (level (string-ascii 16)))
  (if (is-eq level "continent") (some u0)
    (if (is-eq level "country") (some u1)
      (if (is-eq level "network") (some u2)
        none
      )
    )
  )
)

(define-private (signed (key (buff 33)) (signature (optional (buff 65))) (hash (buff 32)))
  (match signature
    rsv (is-eq (secp256k1-recover? hash rsv) (ok key))
    false
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
