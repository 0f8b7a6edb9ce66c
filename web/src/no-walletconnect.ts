// Stands in for WalletConnect, which @stacks/connect would bundle: it needs a project id of a third party's relay, which this page does
// without. Never called, as no request names a WalletConnect project.
export const UniversalConnector = undefined
