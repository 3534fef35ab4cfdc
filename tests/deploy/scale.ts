/**
 * Scales a running Compose stack up and down under load and checks that no request gets a 5xx, no
 * connection is refused and no promise is broken. Start the stack with `docker compose up` and a
 * high RATE_LIMIT, then run
 *
 *     BASE_URL=http://127.0.0.1:8080 JWT_SECRET=… node tests/deploy/scale.ts
 *
 * `COMPOSE` is the command of Compose with its options (default `docker compose`).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { report, runCompose, runOps, startLoad } from './load.ts'

const STEPS: [service: string, containers: number][] = [
  ['booking-worker', 4],
  ['api', 2],
  ['booking-worker', 1],
  ['api', 1],
]
/** How long the load continues after each step. */
const SETTLE_MS = 8000

const scaled = new Map([
  ['booking-worker', 1],
  ['api', 1],
])

/** Compose resets every number that a command leaves out, so each command has all of them. */
async function scale(service: string, containers: number): Promise<void> {
  scaled.set(service, containers)
  const numbers = [...scaled].flatMap(([name, number]) => ['--scale', `${name}=${number}`])
  const { code } = await runCompose([
    'up',
    '--detach',
    '--no-recreate',
    ...numbers,
    'api',
    'booking-worker',
  ])
  if (code !== 0) throw new Error(`scaling ${service} to ${containers} ended with ${code}`)
}

const load = await startLoad()
await sleep(SETTLE_MS / 2)
for (const [service, containers] of STEPS) {
  console.log(`${new Date().toISOString()} ${service} → ${containers}`)
  await scale(service, containers)
  await sleep(SETTLE_MS)
}
await load.stop()

const verified = await runOps('verify')
const bad = report(load, / (2\d\d|404|409)$/)
console.log(
  `${bad.length === 0 ? 'No' : 'SOME'} failures, promises ${verified.ok ? 'kept' : 'BROKEN'}`,
)
process.exit(bad.length === 0 && verified.ok === true ? 0 : 1)
