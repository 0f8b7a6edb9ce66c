import type { AppView } from '@understudy/protocol/api'

/** What somebody must know before money goes to an app. */
export function Caution({ app }: { app: AppView }) {
  const { rules, announced } = app
  return (
    <>
      {!app.bound && (
        <p class="note warn">
          The repository's own announcement does not name the Stacks account that registered this app (yet).
          Anybody may have registered it: look twice before you fund or mirror it.
        </p>
      )}
      {rules.until !== null && !announced && (
        <p class="note warn">
          The maintainer has ended the rules: no epoch from {rules.until} on is paid. What is in the pool then
          stays its funders', who may leave with it.
        </p>
      )}
      {announced && (
        <p class="note">
          Other rules were announced, version {announced.version}: they govern from epoch {announced.from} on.
        </p>
      )}
    </>
  )
}
