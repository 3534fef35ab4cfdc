/** Compares bookings with an API key with bookings with the tokens of users. */

import { createClient, signToken } from '../stack/client.ts'
import type { Servers } from '../stack/servers.ts'
import { findBookingFaults } from './check.ts'
import { medianRatio } from './report/median-ratio.ts'
import { describeFaults, describeRatio, describeReport, short, whole } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { cpuMsOf, drive, type Run } from './run.ts'
import type { Deployment } from './systems/system.ts'
import { measureWindows, type WindowContext } from './windows.ts'
import type { WorkloadSettings } from './workloads.ts'

const KINDS = ['token', 'key'] as const
type Kind = (typeof KINDS)[number]

/** The CPU time of a booking with a key, divided by that of a booking with a token. */
const AIM = 1.05
/** The owner of all events, who makes the keys. */
const OWNER = 'olga'
/** More requests a minute than a run sends. */
const PLENTY = 1_000_000_000

/** @returns whether the aim is reached and everything is correct */
export async function measureKeys(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const describe = (run: Run) =>
    `${describeReport(run.report)}  CPU ${short(cpuMsOf(run))} ms  ${describeFaults(run.faults)}`
  const rounds = await measureWindows(KINDS, runWindow, describe, {
    servers,
    settings: {
      ...settings,
      productEnv: { KEY_RATE_LIMIT_MAX: String(PLENTY), ...settings.productEnv },
    },
    say,
  })
  const rateOf = ({ report }: Run) => report.answered / (report.windowMs / 1000)
  const ratioOf = (read: (run: Run) => number) =>
    medianRatio(rounds.map(({ token, key }) => read(key) / read(token)))
  for (const kind of KINDS) {
    const runs = rounds.map((round) => round[kind])
    say(
      `  ${kind.padEnd(10)} ${whole(medianOf(runs.map(rateOf)))}/s  CPU ms ${short(medianOf(runs.map(cpuMsOf)))}, ` +
        `of which the API ${short(medianOf(runs.map(apiCpuMsOf)))}`,
    )
  }
  const cpu = ratioOf(cpuMsOf)
  const isReached = cpu.median <= AIM
  say(
    `CPU time of a booking: ${describeRatio(cpu)}, aim ≤ ${AIM} ×: ${isReached ? 'reached' : 'NOT reached'}; ` +
      `that of the API ${describeRatio(ratioOf(apiCpuMsOf))}; bookings a second ${describeRatio(ratioOf(rateOf))}`,
  )
  return (
    isReached && rounds.every((round) => KINDS.every((kind) => round[kind].faults.length === 0))
  )
}

function apiCpuMsOf({ report, usage }: Run): number {
  return (usage.cpuMs.api ?? 0) / report.answered
}

async function runWindow({
  client,
  deployment,
  meter,
  kind,
  eventId,
  connections,
  load,
  prepared,
}: WindowContext<Kind>): Promise<Run> {
  await client.query('UPDATE events SET owner = $2 WHERE event_id = $1', [eventId, OWNER])
  const { targets, jwtSecret } = deployment
  const traffic = {
    kind: 'bookings' as const,
    firstEventId: eventId,
    events: 1,
    cancelsInTen: 0,
    holders: 0,
    prepared,
    onFirstEvent: 0,
    ...(kind === 'key' && { apiKey: await makeKey(deployment) }),
  }
  const { report, usage } = await drive({ targets, connections, jwtSecret, traffic, load }, meter)
  const event = await client.query(
    'SELECT total_tickets, available_tickets, held_count FROM events WHERE event_id = $1',
    [eventId],
  )
  const bookings = await client.query('SELECT user_id, status FROM bookings WHERE event_id = $1', [
    eventId,
  ])
  return { report, usage, faults: findBookingFaults(event.rows[0], bookings.rows, report) }
}

/** Makes a key with a rate limit that no run reaches. */
async function makeKey({ targets: [target], jwtSecret }: Deployment): Promise<string> {
  const token = await signToken(OWNER, 'organizer', { secret: jwtSecret })
  const { status, body } = await createClient(`http://${target?.host}:${target?.port}`).post(
    '/api-keys',
    {
      name: 'Benchmark',
      scopes: ['bookings:write'],
      rateLimit: { requests: PLENTY, windowSeconds: 60 },
    },
    { token },
  )
  if (status !== 201) throw new Error(`POST /api-keys: ${status} ${JSON.stringify(body)}`)
  return body.key
}
