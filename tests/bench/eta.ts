/** Measures how well `etaSeconds` predicts the waits in a line of 100,000 commands. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Servers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'
import { openConnection } from './driver/connection.ts'
import { createSigner, postRequest, writeRequests } from './driver/requests.ts'
import type { Answer } from './driver/response.ts'
import { createTally, type Tally } from './driver/tally.ts'
import { short, whole } from './report/text.ts'
import type { WorkloadSettings } from './workloads.ts'

const COMMANDS = 100_000
/** Half of the commands book a ticket. The others join the waiting list. */
const TICKETS = COMMANDS / 2
/** The owner of the event, who may read its jobs. */
const STAFF = 'staff'

/**
 * What the worker does while the line fills. It is `frozen` until all commands are in the line, or
 * `late`: it starts when half of them are, and decides while the others arrive.
 */
const KINDS = ['frozen', 'late'] as const
type Kind = (typeof KINDS)[number]

/** Estimates are compared with waits of at least this length, ms. */
const LEAST_WAIT_MS = 10_000
/** Half of the estimates may be off by this fraction of the wait at most. */
const AIM = 0.3
/** The waits by which the estimates are listed, s. */
const WAITS_S = [10, 20, 40, Number.POSITIVE_INFINITY] as const

const SAMPLE_EVERY_MS = 500
const JOBS_PER_SAMPLE = 20
const DECIDED_WITHIN_MS = 10 * 60_000

/** What `GET /jobs/:jobId` said about a queued command. */
interface Sample {
  jobId: string
  atMs: number
  /** Null if it was unknown. */
  etaSeconds: number | null
}

/** A sample and what became of it. */
interface Compared extends Sample {
  waitMs: number
}

/** @returns whether the aim is reached with every kind of line */
export async function measureEta(
  servers: Servers,
  rounds: number,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const compared: Record<Kind, Compared[]> = { frozen: [], late: [] }
  for (let round = 1; round <= rounds; round++) {
    for (const kind of KINDS) {
      const { samples, perSecond } = await runLine(servers, kind, settings)
      compared[kind].push(...samples)
      say(`  ${round} ${kind.padEnd(6)} ${whole(perSecond)} decisions/s  ${describe(samples)}`)
    }
  }
  let isReached = true
  for (const kind of KINDS) {
    const samples = compared[kind]
    const error = medianError(samples)
    isReached &&= error <= AIM
    for (const [i, most] of WAITS_S.slice(1).entries()) {
      const least = WAITS_S[i] as number
      const inRange = samples.filter(({ waitMs }) => inSeconds(waitMs, least, most))
      if (inRange.length > 0) say(`${kind}, waits from ${least} s: ${describe(inRange)}`)
    }
    say(
      `${kind}: median error ${short(error * 100)} % of waits of 10 s and more, ` +
        `aim ≤ ${AIM * 100} %: ${error <= AIM ? 'reached' : 'NOT reached'}`,
    )
  }
  return isReached
}

const inSeconds = (ms: number, least: number, most: number): boolean =>
  ms >= least * 1000 && ms < most * 1000

/** Collects a figure of each estimate of a wait that counts. */
function tallyOf(samples: Compared[], figure: (ratio: number) => number): Tally {
  const tally = createTally()
  for (const { etaSeconds, waitMs } of samples) {
    if (etaSeconds !== null && waitMs >= LEAST_WAIT_MS)
      tally.add(figure((etaSeconds * 1000) / waitMs))
  }
  return tally
}

function medianError(samples: Compared[]): number {
  return tallyOf(samples, (ratio) => Math.abs(ratio - 1)).percentile(0.5)
}

function describe(samples: Compared[]): string {
  const ratios = tallyOf(samples, (ratio) => ratio)
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => short(ratios.percentile(share)))
  const unknown = samples.filter(({ etaSeconds }) => etaSeconds === null).length
  return (
    `${whole(ratios.count())} estimates, estimate / wait: median ${middle}, quartiles ${low} and ${high}` +
    `; ${unknown} unknown`
  )
}

/** Fills a line, samples its jobs until all are decided, and compares. */
async function runLine(
  servers: Servers,
  kind: Kind,
  settings: WorkloadSettings,
): Promise<{ samples: Compared[]; perSecond: number }> {
  const system = await startSystem({
    servers,
    env: { NODE_ENV: 'production', MAX_QUEUE_DEPTH: '200000', ...settings.productEnv },
  })
  const client = new pg.Client({ connectionString: system.databaseUrl })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(
      `INSERT INTO events (event_id, total_tickets, available_tickets, owner)
        VALUES (1, $1::int, $1::int, '${STAFF}')`,
      [TICKETS],
    )
    const [worker] = system.workers
    worker?.pause()
    const start = kind === 'frozen' ? COMMANDS : COMMANDS / 2
    let startedAtMs = 0
    const jobIds: string[] = []
    const filled = fillLine(system, settings.connections ?? 64, (jobId) => {
      jobIds.push(jobId)
      if (jobIds.length !== start) return
      startedAtMs = Date.now()
      worker?.resume()
    })
    const samples: Sample[] = []
    const read = await reader(system)
    const deadline = Date.now() + DECIDED_WITHIN_MS
    for (let isDecided = false; !isDecided; await sleep(SAMPLE_EVERY_MS)) {
      if (Date.now() > deadline) throw new Error('the commands were not decided in time')
      if (startedAtMs === 0) continue
      samples.push(...(await read(jobIds)))
      isDecided = (await decidedCount(client)) === COMMANDS
    }
    await filled
    const decidedAt = await readDecisions(client)
    const compared = samples.map((sample) => ({
      ...sample,
      waitMs: (decidedAt.get(sample.jobId) ?? Number.NaN) - sample.atMs,
    }))
    const endedAtMs = Math.max(...decidedAt.values())
    return { samples: compared, perSecond: (COMMANDS * 1000) / (endedAtMs - startedAtMs) }
  } finally {
    await client.end()
    await system.stop()
  }
}

/** Sends all commands with `Prefer: respond-async`. */
async function fillLine(
  { apis, jwtSecret }: System,
  connections: number,
  onAccepted: (jobId: string) => void,
): Promise<void> {
  const sign = createSigner(jwtSecret, Date.now())
  const requests = writeRequests(COMMANDS, (i) =>
    postRequest('/book', sign(`u${i}`, `b${i}`), '{"eventId":1}', 'prefer: respond-async\r\n'),
  )
  const target = { host: '127.0.0.1', port: Number(new URL(apis[0]?.url as string).port) }
  let next = 0
  /** Sends what is left on a connection of its own. */
  async function sendOn(onBroken: (error: Error) => void): Promise<void> {
    const connection = await openConnection(target, onBroken)
    while (next < COMMANDS) {
      const request = requests.at(next++)
      const { status, body } = await new Promise<Answer>((take) => connection.send(request, take))
      if (status !== 202) throw new Error(`/book answered ${status}: ${body}`)
      onAccepted((JSON.parse(body) as { jobId: string }).jobId)
    }
    connection.close()
  }
  const sendAll = (): Promise<void> =>
    new Promise((resolve, reject) => sendOn(reject).then(resolve, reject))
  await Promise.all(Array.from({ length: connections }, sendAll))
}

/** @returns a function that reads random jobs, and keeps those that are queued */
async function reader(system: System): Promise<(jobIds: string[]) => Promise<Sample[]>> {
  const token = await system.token(STAFF, 'organizer')
  async function readOne(jobId: string): Promise<Sample[]> {
    const atMs = Date.now()
    const { status, body } = await system.api.get(`/jobs/${jobId}`, { token })
    if (status !== 200) throw new Error(`GET /jobs answered ${status}`)
    if (body.state !== 'queued') return []
    return [{ jobId, atMs, etaSeconds: body.etaSeconds }]
  }
  return async (jobIds) => {
    const chosen = Array.from(
      { length: JOBS_PER_SAMPLE },
      () => jobIds[Math.floor(Math.random() * jobIds.length)] as string,
    )
    return (await Promise.all(chosen.map(readOne))).flat()
  }
}

async function decidedCount(client: pg.Client): Promise<number> {
  const { rows } = await client.query('SELECT count(*)::int AS decided FROM commands')
  return rows[0].decided
}

/** When each command was decided, ms since 1970. */
async function readDecisions(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query(
    'SELECT command_id, extract(epoch FROM decided_at)::float8 * 1000 AS at FROM commands',
  )
  return new Map(rows.map(({ command_id, at }) => [command_id, at]))
}
