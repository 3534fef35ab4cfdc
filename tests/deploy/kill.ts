/**
 * Kills containers of a running Compose stack under load, one after the other. It checks that
 * bookings are decided again within 15 s of each kill, that no acknowledged command is lost, and
 * that no promise is broken. Start the stack with at least two API processes, two workers and a
 * high RATE_LIMIT, then run
 *
 *     BASE_URL=https://localhost:8443 NODE_EXTRA_CA_CERTS=tls/fullchain.pem JWT_SECRET=… \
 *       node tests/deploy/kill.ts
 *
 * `COMPOSE` is the command of Compose with its options (default `docker compose`), `DOCKER` is that
 * of the engine (default `docker`), and `PROXY` is the service that clients connect to (default
 * `proxy-tls`).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createEvent, report, run, runCompose, runOps, send, startLoad, tokenOf } from './load.ts'

const engine = (process.env['DOCKER'] ?? 'docker').split(' ')
/** The services, in the order in which a container of each is killed. */
const KILLED = [
  'booking-worker',
  'api',
  'notifier',
  'redis',
  'postgres',
  process.env['PROXY'] ?? 'proxy-tls',
]
/** Within this time after a kill, a booking must succeed. */
const LIMIT_MS = 15_000
/** How long the load continues after each recovery. */
const SETTLE_MS = 4000

/** Kills the first container of a service with SIGKILL, and starts it again. */
async function kill(service: string): Promise<void> {
  const { stdout } = await runCompose(['ps', '--quiet', service])
  const id = stdout.trim().split('\n')[0] ?? ''
  if (id === '') throw new Error(`no container of ${service} is running`)
  await run([...engine, 'kill', id])
  await run([...engine, 'start', id])
}

/** Books a ticket of a new event until that succeeds. @returns how long it took, in ms */
async function timeToBook(userId: string): Promise<number> {
  const startedAt = performance.now()
  const token = await tokenOf(userId)
  while (performance.now() - startedAt < 2 * LIMIT_MS) {
    try {
      const eventId = 1 + Math.floor(Math.random() * 1_000_000_000)
      await createEvent(eventId, 1)
      if ((await send('POST', '/book', token, { eventId })).status === 200) break
    } catch {
      // The proxy or the API does not respond yet.
    }
    await sleep(100)
  }
  return performance.now() - startedAt
}

const problems: string[] = []
const load = await startLoad()
await sleep(SETTLE_MS)
for (const service of KILLED) {
  await kill(service)
  const tookMs = await timeToBook(`after-${service}`)
  console.log(`${service} killed: booked again after ${(tookMs / 1000).toFixed(1)} s`)
  if (tookMs > LIMIT_MS)
    problems.push(`after ${service} was killed, it took ${tookMs.toFixed(0)} ms`)
  await sleep(SETTLE_MS)
}
await load.stop()

const drained = await runOps('drain', '--timeout', '60')
if (drained.ok !== true) problems.push('the lines were not empty after a minute')
let lost = 0
for (const [job, token] of load.acknowledged) {
  const response = await send('GET', job, token)
  if (response.status !== 200) lost++
  await response.arrayBuffer()
}
if (lost > 0) problems.push(`${lost} of ${load.acknowledged.size} acknowledged commands are lost`)
const verified = await runOps('verify')
if (verified.ok !== true) problems.push('ops verify found broken promises')
// A request to a killed container gets no response from the API, or one without an outcome.
for (const [what, count] of report(load, / (2\d\d|404|409|502|503|504)$|socket|ECONN|SocketError/))
  problems.push(`${count} × ${what}`)
console.log(`${load.acknowledged.size} acknowledged commands were looked up at the end.`)
console.log(problems.length === 0 ? 'No promise is broken.' : problems.join('\n'))
process.exit(problems.length === 0 ? 0 : 1)
