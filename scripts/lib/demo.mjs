import { keptSecret } from './settings.mjs'

export const demoEvent = { eventId: 1, totalTickets: 100 }
const buyer = 'demo'

/**
 * Makes what somebody needs to try the calls: an event, and a buyer with a password. Both may be there from an earlier run.
 *
 * @param {string} baseUrl
 * @param {NodeJS.ProcessEnv} settings with the admin's name and password
 * @returns {Promise<string[]>} lines for a shell that work when they are pasted, again and again; none where this cannot be made (local
 *   accounts are off, say)
 */
export async function prepareDemo(baseUrl, settings) {
  const admin = await call(baseUrl, '/login', {
    userId: settings['ADMIN_USER'],
    password: settings['ADMIN_PASSWORD'],
  })
  if (admin.status !== 200) return []
  const event = await call(baseUrl, '/initialize', demoEvent, admin.body.token)
  const password = keptSecret('demo-password')
  const registered = await call(baseUrl, '/register', { userId: buyer, password })
  // 409: both were made by an earlier run.
  const made = (/** @type {number} */ status) => [200, 201, 409].includes(status)
  return made(event.status) && made(registered.status) ? curlLines(baseUrl, password) : []
}

/** @param {string} baseUrl @param {string} password */
function curlLines(baseUrl, password) {
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
 * @param {string} path
 * @param {unknown} body
 * @param {string} [token]
 * @returns {Promise<{ status: number, body: any }>}
 */
async function call(baseUrl, path, body, token) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  const response = await fetch(baseUrl + path, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json().catch(() => undefined) }
}
