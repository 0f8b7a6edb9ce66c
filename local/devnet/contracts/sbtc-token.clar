;; sbtc-token: stands for the sBTC contract where there is none, on simnet and on the local chain.
;;
;; What the contracts of this repository meet of the real one behaves the same: `transfer` and `transfer-many` with their arguments, who may
;; move what, their errors and their prints, the SIP-010 questions, locked amounts as part of a balance. What differs: sBTC's signers and
;; their registry are one address here, the deployer of this contract, which mints what it likes.

;; ---------------------------------------------------------------- errors: as the real contract answers them

;; Neither who sends nor who calls is the owner of what would move.
(define-constant ERR_NOT_OWNER (err u4))
;; The real one asks its registry, and answers with that one's error.
(define-constant ERR_UNAUTHORIZED (err u400))
;; The n-th transfer of many, from 0, fails with this plus n.
(define-constant ERR_TRANSFER_INDEX_PREFIX u1000)

;; ---------------------------------------------------------------- state

(define-constant SIGNERS tx-sender)

;; 10^8 satoshis are one.
(define-fungible-token sbtc-token)
;; What waits for a withdrawal to Bitcoin.
(define-fungible-token sbtc-token-locked)

;; ---------------------------------------------------------------- read-only: SIP-010

(define-read-only (get-name)
  (ok "sBTC")
)

(define-read-only (get-symbol)
  (ok "sBTC")
)

(define-read-only (get-decimals)
  (ok u8)
)

(define-read-only (get-token-uri)
  (ok none)
)

(define-read-only (get-total-supply)
  (ok (+ (ft-get-supply sbtc-token) (ft-get-supply sbtc-token-locked)))
)

;; How much does this principal have, what is locked included?
(define-read-only (get-balance (who principal))
  (ok (+ (ft-get-balance sbtc-token who) (ft-get-balance sbtc-token-locked who)))
)

;; How much of it can move?
(define-read-only (get-balance-available (who principal))
  (ok (ft-get-balance sbtc-token who))
)

(define-read-only (get-balance-locked (who principal))
  (ok (ft-get-balance sbtc-token-locked who))
)

;; ---------------------------------------------------------------- public

;; Moves an amount of its owner's, who sends the transaction or makes the call.
(define-public (transfer
    (amount uint)
    (sender principal)
    (recipient principal)
    (memo (optional (buff 34)))
  )
  (begin
    (asserts! (or (is-eq tx-sender sender) (is-eq contract-caller sender)) ERR_NOT_OWNER)
    (try! (ft-transfer? sbtc-token amount sender recipient))
    (match memo note (print note) 0x)
    (ok true)
  )
)

;; Moves many amounts, or none of them. Returns how many.
(define-public (transfer-many (transfers (list 200 {
  amount: uint,
  sender: principal,
  to: principal,
  memo: (optional (buff 34)),
})))
  (fold transfer-next transfers (ok u0))
)

;; Mints, as the signers do for a deposit on Bitcoin.
(define-public (protocol-mint (amount uint) (recipient principal) (contract-flag (buff 1)))
  (begin
    (asserts! (is-eq contract-caller SIGNERS) ERR_UNAUTHORIZED)
    (ft-mint? sbtc-token amount recipient)
  )
)

;; Locks, as the signers do for a withdrawal.
(define-public (protocol-lock (amount uint) (owner principal) (contract-flag (buff 1)))
  (begin
    (asserts! (is-eq contract-caller SIGNERS) ERR_UNAUTHORIZED)
    (try! (ft-burn? sbtc-token amount owner))
    (ft-mint? sbtc-token-locked amount owner)
  )
)

;; ---------------------------------------------------------------- private

(define-private (transfer-next
    (next { amount: uint, sender: principal, to: principal, memo: (optional (buff 34)) })
    (so-far (response uint uint))
  )
  (match so-far
    moved (if (is-ok (transfer (get amount next) (get sender next) (get to next) (get memo next)))
      (ok (+ moved u1))
      (err (+ ERR_TRANSFER_INDEX_PREFIX moved))
    )
    failed (err failed)
  )
)
