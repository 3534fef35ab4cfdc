/* Starts Swagger UI, and sends its requests with the token that the reader enters. */
const dark = matchMedia('(prefers-color-scheme: dark)')
function followColorScheme() {
  document.documentElement.classList.toggle('dark-mode', dark.matches)
}
dark.addEventListener('change', followColorScheme)
followColorScheme()

const base = new URL('.', location.href).href.replace(/\/$/, '')
for (const place of document.querySelectorAll('.base')) place.textContent = base

/**
 * Swagger UI shows an open lock at a call that needs a token, and a closed lock once a token is
 * set. Most people expect the opposite.
 */
function locksAreClosedUntilSignIn() {
  const inverted = (Original, system) => (props) =>
    system.React.createElement(Original, { ...props, isAuthorized: !props.isAuthorized })
  return { wrapComponents: { authorizeBtn: inverted, authorizeOperationBtn: inverted } }
}

/** Swagger UI also shows a lock at calls that a token only adds something to. */
function openCallsHaveNoLock() {
  const withoutLock = (Original, system) => (props) => {
    const { operationProps } = props
    const security = operationProps.get('security')
    const isOpen = security?.some((schemes) => schemes.isEmpty())
    const shown = isOpen ? operationProps.set('security', security.clear()) : operationProps
    return system.React.createElement(Original, { ...props, operationProps: shown })
  }
  return { wrapComponents: { OperationSummary: withoutLock } }
}

/**
 * Swagger UI fills in the examples of parameters. A list that is filtered by all examples at once is
 * usually empty.
 */
function optionalParametersAreEmpty() {
  const withoutExamples = (original) => (document) => {
    const operations = Object.values(document.paths ?? {}).flatMap((path) => Object.values(path))
    for (const { parameters = [] } of operations)
      for (const parameter of parameters) if (!parameter.required) delete parameter.example
    return original(document)
  }
  return { statePlugins: { spec: { wrapActions: { updateJsonSpec: withoutExamples } } } }
}

const field = document.getElementById('token')
const state = document.getElementById('access-state')
const withoutToken = state.innerHTML

const ui = SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#calls',
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // Numbers in its dark boxes would be dark red.
  syntaxHighlight: { theme: 'monokai' },
  plugins: [locksAreClosedUntilSignIn, openCallsHaveNoLock, optionalParametersAreEmpty],
  responseInterceptor(response) {
    if (response.status === 200 && /\/login$/.test(response.url)) use(response.body.token)
    return response
  },
})

/** Sends the following requests with this token or API key, or with none if it is empty. */
function use(token) {
  field.value = token
  ui.authActions.logout(['token', 'apiKey'])
  if (token === '') {
    state.innerHTML = withoutToken
    return
  }
  const isKey = token.startsWith('tlk_')
  ui.preauthorizeApiKey(isKey ? 'apiKey' : 'token', token)
  state.textContent = `The calls below are sent with this ${isKey ? 'API key' : 'token'}.`
}

document.getElementById('access').addEventListener('submit', (event) => {
  event.preventDefault()
  use(field.value.trim().replace(/^Bearer\s+/i, ''))
})
