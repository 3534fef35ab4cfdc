import { createHash } from 'node:crypto'
import { isKept, keptSecret } from './settings.mjs'

/** The ids 1, 2, 3 … are left to the examples of the documentation. */
const demoEvent = {
  eventId: 1001,
  totalTickets: 100,
  name: 'Songs by Lantern Light',
  venue: 'The Old Boathouse, Bristol',
  timezone: 'Europe/London',
}

/**
 * @typedef {object} Demo
 * @property {string[]} calls shell commands to paste; they work any number of times
 * @property {string} [page] the page of the demo event; absent if there is no demo event
 * @property {string} [why] the reason if there are no calls
 */

/**
 * Creates an event and a buyer with a password, so that the printed calls work. Both may exist from
 * an earlier run.
 *
 * @param {string} baseUrl of the API
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.settings with the admin's name and password
 * @param {string} options.shownUrl the URL for the printed calls
 * @param {boolean} options.ownDatabase false for a database that `npm start` did not start; if it
 * contains events, nothing is created in it
 * @returns {Promise<Demo>}
 */
export async function prepareDemo(baseUrl, { settings, shownUrl, ownDatabase }) {
  const { ADMIN_USER: userId, ADMIN_PASSWORD } = settings
  const admin = await call(baseUrl, 'POST /login', { body: { userId, password: ADMIN_PASSWORD } })
  if (admin.status === 404) return none('local accounts are off, so no account can make the calls')
  if (admin.status === 401) {
    return none(`the account "${userId}" in this database has another password than ADMIN_PASSWORD`)
  }
  if (admin.status !== 200) return none(`POST /login of "${userId}" answered ${admin.status}`)
  const { token } = admin.body
  if (
    !ownDatabase &&
    !(await isFromEarlierRun(baseUrl)) &&
    (await holdsOtherEvents(baseUrl, token))
  ) {
    return none('this database already contains events, so no demo data was created in it')
  }
  const { eventId, totalTickets } = demoEvent
  const body = { ...demoEvent, ...timesOfDemo(new Date()) }
  const made = await call(baseUrl, 'POST /events', { body, token })
  if (made.status === 409) {
    const event = await call(baseUrl, `GET /events/${eventId}`)
    if (event.body?.totalTickets !== totalTickets)
      return none(`event ${eventId} exists with another size`)
  } else if (made.status !== 201) {
    return none(`POST /events of the demo event answered ${made.status}`)
  }
  const password = keptSecret('demo-password')
  const buyer = await registerBuyer(baseUrl, password)
  if (buyer === undefined) return none('no account could be registered for the buyer')
  return { calls: curlLines(shownUrl, buyer, password), page: `${shownUrl}/e/${eventId}` }
}

/** The evening of a Saturday, at least three weeks after the time. @param {Date} now */
function timesOfDemo(now) {
  const start = new Date(now)
  start.setUTCDate(now.getUTCDate() + 21 + ((6 - now.getUTCDay() + 7) % 7))
  start.setUTCHours(19, 0, 0, 0)
  const end = new Date(start)
  end.setUTCHours(22)
  return { startsAt: start.toISOString(), endsAt: end.toISOString() }
}

/** @param {string} why @returns {Demo} */
const none = (why) => ({ calls: [], why })

/** True if an earlier run with the same `.data/` created the demo data. @param {string} baseUrl */
async function isFromEarlierRun(baseUrl) {
  if (!isKept('demo-password')) return false
  const password = keptSecret('demo-password')
  for (const userId of buyerNames(password)) {
    const { status } = await call(baseUrl, 'POST /login', { body: { userId, password } })
    if (status === 200)
      return (await call(baseUrl, `GET /status/${demoEvent.eventId}`)).status === 200
  }
  return false
}

/** @param {string} baseUrl @param {string} token */
async function holdsOtherEvents(baseUrl, token) {
  const { status, body } = await call(baseUrl, 'GET /events?limit=2', { token })
  return (
    status !== 200 ||
    body.events.some((/** @type {any} */ event) => event.eventId !== demoEvent.eventId)
  )
}

/**
 * The names to try: "demo", and a second one in case that account belongs to somebody else, for
 * example to a run with another `.data/`. The second name depends on the password, so each run with
 * this folder uses the same one.
 *
 * @param {string} password
 */
function buyerNames(password) {
  return ['demo', `demo-${createHash('sha256').update(password).digest('hex').slice(0, 8)}`]
}

/**
 * Registers a buyer, or finds the one of an earlier run.
 *
 * @param {string} baseUrl
 * @param {string} password
 * @returns {Promise<string | undefined>} the buyer's name
 */
async function registerBuyer(baseUrl, password) {
  for (const userId of buyerNames(password)) {
    const body = { userId, password }
    const registered = await call(baseUrl, 'POST /register', { body })
    if (registered.status === 201) return userId
    const signedIn = registered.status === 409 && (await call(baseUrl, 'POST /login', { body }))
    if (signedIn && signedIn.status === 200) return userId
  }
  return undefined
}

/** @param {string} baseUrl @param {string} buyer @param {string} password */
function curlLines(baseUrl, buyer, password) {
  const json = `-H 'content-type: application/json'`
  const auth = `-H "authorization: Bearer $TOKEN"`
  const pick = (/** @type {string} */ name) => `sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/'`
  const event = `-d '{"eventId":${demoEvent.eventId}}'`
  return [
    `TOKEN=$(curl -s ${baseUrl}/login ${json} -d '{"userId":"${buyer}","password":"${password}"}' | ${pick('token')})`,
    `curl -sw '\\n' ${baseUrl}/book ${auth} ${json} ${event}`,
    `curl -sw '\\n' ${baseUrl}/status/${demoEvent.eventId}`,
    `JOB=$(curl -s ${baseUrl}/cancel ${auth} ${json} ${event} -H 'prefer: respond-async' | ${pick('statusUrl')})`,
    `curl -sw '\\n' ${baseUrl}$JOB ${auth} -H 'prefer: wait=5'`,
  ]
}

/**
 * @param {string} baseUrl
 * @param {string} line e.g. "POST /login"
 * @param {{ body?: unknown, token?: string }} [options]
 * @returns {Promise<{ status: number, body: any }>}
 */
async function call(baseUrl, line, { body, token } = {}) {
  const [method = 'GET', path] = line.split(' ')
  const headers = {
    'content-type': 'application/json',
    ...(token && { authorization: `Bearer ${token}` }),
  }
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
  const response = await fetch(baseUrl + path, init)
  return { status: response.status, body: await response.json().catch(() => undefined) }
}
