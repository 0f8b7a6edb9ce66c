;; attester-quorum: the apps, the rules that their epochs are paid by, and the keys whose signatures settle them.
;;
;; Holds no money and calls no contract. Anyone may register an app and is its maintainer from then on; the maintainer may announce other
;; rules, notice epochs ahead, and hand the app over; the pool alone says which keys contradicted themselves; anyone may read. There is no
;; owner key, no admin and no upgrade hook. A maintainer whose key is lost freezes nothing: the rules simply stay.
;;
;; Units: money in the app's asset, uSTX or satoshis of sBTC; heights and durations in burn blocks; shares of one in ppm (10^6).

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
(define-constant ERR_UNKNOWN_APP (err u121))
(define-constant ERR_NOT_MAINTAINER (err u122))
(define-constant ERR_PENDING (err u123))
(define-constant ERR_FROM (err u124))
(define-constant ERR_ENDED (err u125))
(define-constant ERR_NOT_OFFERED (err u126))
(define-constant ERR_MIN_SEQ (err u127))
(define-constant ERR_NOT_POOL (err u128))
(define-constant ERR_KEY (err u129))
(define-constant ERR_BANNED (err u130))

;; ---------------------------------------------------------------- constants

(define-constant PPM u1000000)
;; About a year: the longest epoch, the farthest start, the longest grace and claim period.
(define-constant MAX_BLOCKS u52560)
(define-constant MIN_NOTICE u3)
(define-constant MIN_CHALLENGE u6)
;; The last epoch, and the most of what is merely counted: times the longest epoch it is below 2^53, so every log reader can hold it.
(define-constant MAX_EPOCH u1000000000)
;; "30617:", the kind of a NIP-34 repository announcement.
(define-constant COORDINATE_PREFIX 0x33303631373a)
(define-constant COLON 0x3a)
(define-constant EVEN_Y 0x02)

;; ---------------------------------------------------------------- state

;; Invariant 1: an app is never removed, and start, length, notice, cap and sbtc of its row never change.
(define-map apps
  (buff 32) ;; app id = sha256 of the coordinate
  {
    maintainer: principal,
    start: uint, ;; burn height of the first block of epoch 0
    length: uint, ;; burn blocks of an epoch
    notice: uint, ;; epochs between a change of the rules and its effect
    cap: uint, ;; no epoch's budget is above it, whatever the rules say
    sbtc: bool, ;; the app's asset: sBTC, else STX
    version: uint, ;; the newest rules row
    newest: uint, ;; first epoch of its rules
    before: uint, ;; of those of version - 1
    earlier: uint, ;; of those of version - 2
    release-keys: uint, ;; how often the release key was replaced
  }
)

;; Invariant 2: version v governs the epochs from <= n < until; rows v = 1 .. version follow each other without overlap, and without gap
;; but where the maintainer ended the rules.
;; Invariant 3: from and terms of a row never change, and all terms passed `check-terms`; until is set once, to an epoch that began no
;; earlier than notice epochs later.
;; Invariant 4: at most the newest row lies wholly in the future. So the last ended epoch is governed by one of the three newest.
(define-map rules
  { app: (buff 32), version: uint }
  {
    from: uint,
    until: (optional uint),
    terms: {
      budget: uint, ;; for one epoch, attester fees included
      keys: (list 19 (buff 33)), ;; N = 2M - 1 attester keys, 0x02 then x, strictly ascending
      places: uint, ;; T, the target number of places
      levels: (list 3 (string-ascii 16)), ;; the levels that count, coarse to fine
      floor: uint, ;; ppm of availability below which a mirror earns nothing
      domain-bond: uint, ;; of bond, what counts in one domain
      fee: uint, ;; to all attesters together
      grace: uint, ;; burn blocks that a mirror may lag behind a release
      min-bond: uint,
      faults: uint, ;; f, attesters whose distances may be wrong
      window: uint, ;; W, burn blocks after an epoch in which it may settle
      challenge: uint, ;; C, burn and Stacks blocks between a settlement and its payment
      claim-period: uint, ;; burn blocks in which a payment may be claimed
      release-key: (buff 32), ;; x-only key that signs releases
      min-seq: uint, ;; releases below it are not served
    },
  }
)

;; Invariant 5: budget, keys, window, challenge and until are those of the rules row. What settling an epoch asks of it, in one small read.
;; Invariant 6: position i of `banned`, where it is not empty, says whether the i-th key contradicted itself: of the three newest rows, and
;; of the row that the contradiction was about.
(define-map quorums
  { app: (buff 32), version: uint }
  {
    keys: (list 19 (buff 33)),
    banned: (list 19 bool), ;; empty where none is
    needed: uint, ;; M
    until: (optional uint),
    terms: { budget: uint, window: uint, challenge: uint },
  }
)

;; Invariant 7: a key is banned for ever, and no rules announced later list it.
(define-map bans
  { app: (buff 32), key: (buff 33) }
  bool
)

;; Invariant 8: the n-th replacement governs, from its epoch on, the rows that were announced before it.
(define-map release-keys
  { app: (buff 32), index: uint }
  {
    from: uint, ;; epoch
    version: uint, ;; the newest row then
    release-key: (buff 32),
    min-seq: uint,
  }
)

;; To whom an app is offered.
(define-map offers
  (buff 32)
  principal
)

;; Invariant 9: the n-th event of an app has seq n and head = sha256(previous head, sha256(consensus bytes of the event without head)).
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

;; Which rules govern this epoch? Finds it among the three newest rows, so for every epoch from the last ended one on: see invariant 4.
;; For older ones `rules-by` wants a hint. `end` is the first burn height after the epoch.
(define-read-only (rules-at (app (buff 32)) (epoch uint))
  (match (map-get? apps app)
    row (row-by app (get start row) (get length row) epoch (version-at row epoch))
    none
  )
)

;; The same for any epoch, past or future, by the version that the asker believes to govern it; none where it does not.
(define-read-only (rules-by (app (buff 32)) (epoch uint) (version uint))
  (match (map-get? apps app)
    row (row-by app (get start row) (get length row) epoch version)
    none
  )
)

;; Who settles this epoch, and within which bounds? `version` is the rules row that governs it, found as in `rules-at`, `end` the first burn
;; height after the epoch.
(define-read-only (quorum-at (app (buff 32)) (epoch uint))
  (match (map-get? apps app)
    row (let ((version (if (>= epoch (get newest row)) (get version row) (version-at row epoch))))
      (match (map-get? quorums { app: app, version: version })
        quorum (if (governs (get until quorum) epoch)
          (some {
            quorum: quorum,
            version: version,
            end: (end-of (get start row) (get length row) epoch),
          })
          none
        )
        none
      )
    )
    none
  )
)

;; Whom does this version of its rules list, and who of them is banned?
(define-read-only (get-quorum (app (buff 32)) (version uint))
  (map-get? quorums { app: app, version: version })
)

;; Did this key contradict itself?
(define-read-only (is-banned (app (buff 32)) (key (buff 33)))
  (is-some (map-get? bans { app: app, key: key }))
)

;; What do the other contracts have to know about now? `epoch` is the one that runs, 0 before the start; `closes` the burn height from which
;; the last ended epoch can no longer be settled, 0 where there is none or nothing governs it; `next` the first epoch that begins later.
(define-read-only (clock (app (buff 32)))
  (match (map-get? apps app)
    row (let (
        (burn burn-block-height)
        (start (get start row))
        (started (>= burn start))
        (epoch (if started (/ (- burn start) (get length row)) u0))
        (last (if (is-eq epoch u0) u0 (- epoch u1)))
      )
      (some {
        maintainer: (get maintainer row),
        sbtc: (get sbtc row),
        version: (get version row),
        length: (get length row),
        epoch: epoch,
        next: (if started (+ epoch u1) u0),
        closes: (if (is-eq epoch u0)
          u0
          (match (map-get? quorums { app: app, version: (version-at row last) })
            quorum (if (governs (get until quorum) last)
              (+ (end-of start (get length row) last) (get window (get terms quorum)))
              u0
            )
            u0
          )
        ),
      })
    )
    none
  )
)

;; Which release key replaced another, as the n-th?
(define-read-only (get-release-key (app (buff 32)) (index uint))
  (map-get? release-keys { app: app, index: index })
)

;; To whom is this app offered?
(define-read-only (get-offer (app (buff 32)))
  (map-get? offers app)
)

;; At which burn height does this epoch begin?
(define-read-only (epoch-begin (app (buff 32)) (epoch uint))
  (match (map-get? apps app)
    row (if (<= epoch (+ MAX_EPOCH u1)) (some (+ (get start row) (* epoch (get length row)))) none)
    none
  )
)

;; At which burn height is this epoch over? The first block that is no longer part of it.
(define-read-only (epoch-end (app (buff 32)) (epoch uint))
  (if (<= epoch MAX_EPOCH) (epoch-begin app (+ epoch u1)) none)
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
    (schedule { start: uint, length: uint, notice: uint, cap: uint, sbtc: bool })
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
      (log (get-log app))
      (event (merge schedule {
        topic: "app-registered",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        coordinate: coordinate,
        maintainer: contract-caller,
        version: u1,
        from: u0,
        terms: terms,
      }))
    )
    (asserts! (is-none (map-get? apps app)) ERR_APP_EXISTS)
    (asserts! (is-coordinate coordinate) ERR_COORDINATE)
    (try! (check-schedule schedule))
    (try! (check-terms (get length schedule) (get cap schedule) terms))
    (map-set apps app (merge schedule {
      maintainer: contract-caller,
      version: u1,
      newest: u0,
      before: u0,
      earlier: u0,
      release-keys: u0,
    }))
    (announce app u1 u0 terms)
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok app)
  )
)

;; Announces the rules of the epochs from `from` on; those that have begun, and the next `notice` after them, keep theirs. Only one row may
;; wait for its first epoch. The rules that were ended go on with it.
(define-public (change-rules
    (app (buff 32))
    (from uint)
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
      (row (try! (maintained app)))
      (version (get version row))
      (last (unwrap! (map-get? rules { app: app, version: version }) ERR_UNKNOWN_APP))
      (log (get-log app))
      (event {
        topic: "rules-changed",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        version: (+ version u1),
        from: from,
        terms: terms,
      })
    )
    (asserts! (has-begun row (get from last)) ERR_PENDING)
    (asserts!
      (and
        (>= from (noticed row))
        (<= from MAX_EPOCH)
        (match (get until last) until (>= from until) true)
      )
      ERR_FROM
    )
    (try! (check-terms (get length row) (get cap row) terms))
    (asserts! (is-none (index-of? (map is-key-banned (copies app) (get keys terms)) true)) ERR_BANNED)
    ;; Rules that were ended keep their end.
    (and (is-none (get until last)) (end-at app version from))
    (announce app (+ version u1) from terms)
    (map-set apps app (merge row {
      version: (+ version u1),
      newest: from,
      before: (get newest row),
      earlier: (get before row),
    }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok (+ version u1))
  )
)

;; Winds the app down: no epoch from the returned one on is governed, so none is settled, and funders leave with what is left. The same
;; notice holds. New rules may start it again.
(define-public (end-rules (app (buff 32)))
  (let (
      (row (try! (maintained app)))
      (version (get version row))
      (last (unwrap! (map-get? rules { app: app, version: version }) ERR_UNKNOWN_APP))
      (until (noticed row))
      (log (get-log app))
      (event {
        topic: "rules-ended",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        version: version,
        until: until,
      })
    )
    (asserts! (has-begun row (get from last)) ERR_PENDING)
    (asserts! (is-none (get until last)) ERR_ENDED)
    (end-at app version until)
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok until)
  )
)

;; Names another key that signs releases, from the next epoch on: a stolen key cannot wait for the notice. It changes nobody's terms of pay.
(define-public (replace-release-key (app (buff 32)) (release-key (buff 32)) (min-seq uint))
  (let (
      (row (try! (maintained app)))
      (index (+ (get release-keys row) u1))
      (from (next-epoch row))
      (replacement { from: from, version: (get version row), release-key: release-key, min-seq: min-seq })
      (log (get-log app))
      (event (merge replacement {
        topic: "release-key-replaced",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        index: index,
      }))
    )
    (asserts! (is-eq (len release-key) u32) ERR_RELEASE_KEY)
    (asserts! (<= min-seq MAX_EPOCH) ERR_MIN_SEQ)
    (map-set release-keys { app: app, index: index } replacement)
    (map-set apps app (merge row { release-keys: index }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok from)
  )
)

;; Offers the app to another maintainer, or to nobody any more. Nothing changes until the other accepts.
(define-public (offer-maintainer (app (buff 32)) (to (optional principal)))
  (let (
      (row (try! (maintained app)))
      (log (get-log app))
      (event {
        topic: "maintainer-offered",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        to: to,
      })
    )
    (match to heir (map-set offers app heir) (map-delete offers app))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Takes over an app that was offered to the caller.
(define-public (accept-maintainer (app (buff 32)))
  (let (
      (row (unwrap! (map-get? apps app) ERR_UNKNOWN_APP))
      (log (get-log app))
      (event {
        topic: "maintainer-changed",
        app: app,
        seq: (+ (get seq log) u1),
        burn: burn-block-height,
        height: stacks-block-height,
        maintainer: contract-caller,
      })
    )
    (asserts! (is-eq (map-get? offers app) (some contract-caller)) ERR_NOT_OFFERED)
    (map-delete offers app)
    (map-set apps app (merge row { maintainer: contract-caller }))
    (print (merge event { head: (link app log (sha256 (unwrap-panic (to-consensus-buff? event)))) }))
    (ok true)
  )
)

;; Bans a key that this rules row lists: in it, and in the three newest. The pool alone may say so, which checked the contradiction and prints
;; it; a maintainer cannot.
(define-public (ban (app (buff 32)) (version uint) (key (buff 33)))
  (let (
      (row (unwrap! (map-get? apps app) ERR_UNKNOWN_APP))
      (newest (get version row))
    )
    (asserts! (is-eq contract-caller .reward-pool) ERR_NOT_POOL)
    (asserts! (mark app version key) ERR_KEY)
    (asserts! (map-insert bans { app: app, key: key } true) ERR_BANNED)
    (mark app newest key)
    (and (> newest u1) (mark app (- newest u1) key))
    (and (> newest u2) (mark app (- newest u2) key))
    (ok true)
  )
)

;; ---------------------------------------------------------------- private

;; Writes a rules row.
(define-private (announce
    (app (buff 32))
    (version uint)
    (from uint)
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
    (map-set rules { app: app, version: version } { from: from, until: none, terms: terms })
    (map-set quorums { app: app, version: version } {
      keys: (get keys terms),
      banned: (list),
      needed: (/ (+ (len (get keys terms)) u1) u2),
      until: none,
      terms: {
        budget: (get budget terms),
        window: (get window terms),
        challenge: (get challenge terms),
      },
    })
  )
)

;; Ends a rules row before an epoch.
(define-private (end-at (app (buff 32)) (version uint) (until uint))
  (let (
      (key { app: app, version: version })
      (quorum (unwrap! (map-get? quorums key) false))
    )
    (map-set rules key (merge (unwrap! (map-get? rules key) false) { until: (some until) }))
    (map-set quorums key (merge quorum { until: (some until) }))
  )
)

;; Marks a key in a row that lists it.
(define-private (mark (app (buff 32)) (version uint) (key (buff 33)))
  (match (map-get? quorums { app: app, version: version })
    quorum (let (
        (keys (get keys quorum))
        (before (get banned quorum))
        (found (map same-key keys (list
          key key key key key key key key key key
          key key key key key key key key key
        )))
      )
      (and
        (is-some (index-of? found true))
        (map-set quorums { app: app, version: version } (merge quorum {
          banned: (if (is-eq (len before) u0) found (map either found before)),
        }))
      )
    )
    false
  )
)

(define-private (same-key (a (buff 33)) (b (buff 33)))
  (is-eq a b)
)

(define-private (either (a bool) (b bool))
  (or a b)
)

(define-private (is-key-banned (app (buff 32)) (key (buff 33)))
  (is-some (map-get? bans { app: app, key: key }))
)

;; An app for each key that rules may list: a function given to `map` sees nothing but its elements.
(define-private (copies (app (buff 32)))
  (list app app app app app app app app app app app app app app app app app app app)
)

;; Is an epoch before the end of the rules that began with it or before?
(define-private (governs (until (optional uint)) (epoch uint))
  (and (<= epoch MAX_EPOCH) (match until end (< epoch end) true))
)

;; The first burn height after an epoch; an epoch beyond the last is never governed.
(define-private (end-of (start uint) (length uint) (epoch uint))
  (if (<= epoch MAX_EPOCH) (+ start (* (+ epoch u1) length)) u0)
)

;; The row of an app that the caller maintains. The caller, not the sender: no contract that a maintainer calls can speak for it.
(define-private (maintained (app (buff 32)))
  (let ((row (unwrap! (map-get? apps app) ERR_UNKNOWN_APP)))
    (asserts! (is-eq contract-caller (get maintainer row)) ERR_NOT_MAINTAINER)
    (ok row)
  )
)

;; A rules row with its version and the end of an epoch, where it governs it.
(define-private (row-by (app (buff 32)) (start uint) (length uint) (epoch uint) (version uint))
  (match (map-get? rules { app: app, version: version })
    row (if (and
        (>= epoch (get from row))
        (governs (get until row) epoch)
      )
      (some (merge row { version: version, end: (end-of start length epoch) }))
      none
    )
    none
  )
)

;; The first epoch that begins after this block.
(define-private (next-epoch (row {
    maintainer: principal,
    start: uint,
    length: uint,
    notice: uint,
    cap: uint,
    sbtc: bool,
    version: uint,
    newest: uint,
    before: uint,
    earlier: uint,
    release-keys: uint,
  }))
  (if (< burn-block-height (get start row))
    u0
    (+ (/ (- burn-block-height (get start row)) (get length row)) u1)
  )
)

;; The first epoch that rules announced now may govern.
(define-private (noticed (row {
    maintainer: principal,
    start: uint,
    length: uint,
    notice: uint,
    cap: uint,
    sbtc: bool,
    version: uint,
    newest: uint,
    before: uint,
    earlier: uint,
    release-keys: uint,
  }))
  (+ (next-epoch row) (get notice row))
)

;; Has this epoch begun? Epoch 0 counts as begun from the registration on.
(define-private (has-begun (row {
    maintainer: principal,
    start: uint,
    length: uint,
    notice: uint,
    cap: uint,
    sbtc: bool,
    version: uint,
    newest: uint,
    before: uint,
    earlier: uint,
    release-keys: uint,
  }) (epoch uint))
  (or (is-eq epoch u0) (< epoch (next-epoch row)))
)

;; The version that governs an epoch by the first epochs of the three newest rows; 0, which no row has, where it is older.
(define-private (version-at (row {
    maintainer: principal,
    start: uint,
    length: uint,
    notice: uint,
    cap: uint,
    sbtc: bool,
    version: uint,
    newest: uint,
    before: uint,
    earlier: uint,
    release-keys: uint,
  }) (epoch uint))
  (if (>= epoch (get newest row))
    (get version row)
    (if (>= epoch (get before row))
      (- (get version row) u1)
      (if (>= epoch (get earlier row)) (- (get version row) u2) u0)
    )
  )
)

(define-private (is-coordinate (coordinate (buff 256)))
  (and
    (is-eq (slice? coordinate u0 u6) (some COORDINATE_PREFIX))
    (is-eq (slice? coordinate u70 u71) (some COLON))
    (> (len coordinate) u71)
  )
)

(define-private (check-schedule (schedule { start: uint, length: uint, notice: uint, cap: uint, sbtc: bool }))
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
    (length uint)
    (cap uint)
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
    (asserts! (and (> (get budget terms) u0) (<= (get budget terms) cap)) ERR_BUDGET)
    ;; Odd: with N = 2M - 1 two sets of M signers always share one.
    (asserts! (is-eq (mod (len (get keys terms)) u2) u1) ERR_KEY_COUNT)
    (asserts! (is-some (fold check-key (get keys terms) (some 0x))) ERR_KEYS)
    (asserts! (and (> (get places terms) u0) (<= (get places terms) MAX_EPOCH)) ERR_PLACES)
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
    (asserts! (<= (get window terms) (/ length u2)) ERR_WINDOW)
    (asserts!
      (and
        (>= (get challenge terms) MIN_CHALLENGE)
        (<= (get challenge terms) (/ (get window terms) u4))
      )
      ERR_CHALLENGE
    )
    (asserts!
      (and
        (>= (get claim-period terms) length)
        (<= (get claim-period terms) MAX_BLOCKS)
      )
      ERR_CLAIM_PERIOD
    )
    (asserts! (is-eq (len (get release-key terms)) u32) ERR_RELEASE_KEY)
    (asserts! (<= (get min-seq terms) MAX_EPOCH) ERR_MIN_SEQ)
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

;; Appends the hash of an event to the app's log, as it was read, and returns the new head.
(define-private (link (app (buff 32)) (log { seq: uint, head: (buff 32) }) (event (buff 32)))
  (let ((head (sha256 (concat (get head log) event))))
    (map-set logs app { seq: (+ (get seq log) u1), head: head })
    head
  )
)
