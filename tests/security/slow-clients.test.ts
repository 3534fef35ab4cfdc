import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { openConnection } from '../bench/driver/connection.ts'
import { medianRatio } from '../bench/report/median-ratio.ts'
import { type System, startSystem } from '../stack/system.ts'

const SOCKETS = 2000
/** File descriptors that both processes need for everything else. */
const OTHER_FILES = 200
const ROUNDS = 5
/** A busy machine needs more rounds to know the median ratio to PRECISION. */
const MAX_ROUNDS = 15
/** The test runs rounds until half the width of the median's 90 % interval is at most this. */
const PRECISION = 0.3
const QUIET_PHASE_MS = 3000
/** Longer than a request head may take (5 s), so that the server closes connections in it. */
const ATTACK_PHASE_MS = 7000
const READERS = 8
/** A p99 below this depends on the clock and the scheduler. */
const SHORTEST_P99_MS = 5

const request = Buffer.from('GET /status/1 HTTP/1.1\r\nHost: localhost\r\n\r\n')
const sender = fork(fromRoot('tests/security/slow-clients/sender.ts'), { execArgv: [] })

let system: System
let port: number
beforeAll(async () => {
  system = await startSystem({ workers: 0 })
  port = Number(new URL(system.apis[0]?.url ?? '').port)
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 5 }, { token })
})
afterAll(async () => {
  sender.disconnect()
  await system?.stop()
})

async function command(
  message: 'stop' | 'report' | { port: number; sockets: number },
): Promise<{ openSockets: number; closedByServer: number }> {
  const [report] = await Promise.all([once(sender, 'message'), sender.send(message)])
  return report[0]
}

/** The p99 in ms of ordinary requests that are sent for `forMs`. */
async function p99Ms(forMs: number): Promise<number> {
  const times: number[] = []
  const endsAt = performance.now() + forMs
  await Promise.all(
    Array.from({ length: READERS }, async () => {
      const connection = await openConnection({ host: '127.0.0.1', port }, () => undefined)
      while (performance.now() < endsAt) {
        const startedAt = performance.now()
        const status = await new Promise((resolve) =>
          connection.send(request, (answer) => resolve(answer.status)),
        )
        times.push(performance.now() - startedAt)
        expect(status).toBe(200)
        // Without a pause the readers themselves would be a flood.
        await sleep(5)
      }
      connection.close()
    }),
  )
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN
}

/** SOCKETS, or as many as this machine lets a process open. */
function availableSockets(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  const most = limit === 'unlimited' ? SOCKETS : Number(limit) - OTHER_FILES
  if (most < SOCKETS) console.warn(`Only ${most} slow sockets: \`ulimit -n\` is ${limit}`)
  return Math.min(SOCKETS, most)
}

it('at most doubles the p99 of other clients while thousands of clients send slowly', {
  timeout: 600_000,
}, async () => {
  const sockets = availableSockets()
  const ratios: number[] = []
  let closedByServer = 0
  await p99Ms(QUIET_PHASE_MS)
  let beforeMs = await p99Ms(QUIET_PHASE_MS)
  // The number of rounds depends on their spread only, never on the ratio they show.
  const isPrecise = (): boolean => {
    const { low, high } = medianRatio(ratios)
    return ratios.length >= ROUNDS && (high - low) / 2 <= PRECISION
  }
  for (let round = 0; round < MAX_ROUNDS && !isPrecise(); round++) {
    await command({ port, sockets })
    const areOpen = async () => (await command('report')).openSockets > sockets * 0.9
    expect(await until(areOpen, { timeoutMs: 20_000, everyMs: 100 }), `${sockets} sockets`).toBe(
      true,
    )
    const attackedMs = await p99Ms(ATTACK_PHASE_MS)
    expect((await command('report')).openSockets).toBeGreaterThan(sockets * 0.5)
    closedByServer = (await command('stop')).closedByServer
    await sleep(500)
    const afterMs = await p99Ms(QUIET_PHASE_MS)
    // The average of the quiet phases before and after, since the load of the machine changes.
    const quietMs = Math.max(SHORTEST_P99_MS, (beforeMs + afterMs) / 2)
    ratios.push(attackedMs / quietMs)
    beforeMs = afterMs
    console.log(
      `${sockets} sockets: p99 ${quietMs.toFixed(1)} ms without, ${attackedMs.toFixed(1)} ms with them`,
    )
  }
  // The time limits closed connections, and the sender replaced them.
  expect(closedByServer).toBeGreaterThan(0)
  expect(medianRatio(ratios).median).toBeLessThanOrEqual(2)
})
