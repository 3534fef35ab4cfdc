/**
 * Compares what commands and reads cost in an event with a million claims with what they cost in
 * one with a thousand.
 */
import type pg from 'pg'
import { createClient, signToken } from '../stack/client.ts'
import type { Servers } from '../stack/servers.ts'
import { findBrokenPromises } from './check.ts'
import { result, scatter, type Traffic } from './driver/plan.ts'
import { type FilledEvent, fillEvent } from './fill.ts'
import { medianRatio } from './report/median-ratio.ts'
import { describeRatio, describeReport, short } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { cpuMsOf, drive, type Run } from './run.ts'
import type { Deployment } from './systems/system.ts'
import { measureWindows, type WindowContext } from './windows.ts'
import type { WorkloadSettings } from './workloads.ts'

const SIZES = ['few', 'many'] as const
type Size = (typeof SIZES)[number]

/** CPU time of a request in the event with many claims, divided by that in the one with few. */
const AIM = 1.2
/** Requests of a window, which ends when all of them are answered. */
const REQUESTS = 8000
const WARM_UP_MS = 250
const LONGEST_WINDOW_MS = 120_000
/** All other events of the deployment have lower ids. */
const FIRST_EVENT = 1_000_000

/** An event with free tickets. The bookings of the run bring the larger one close to a million. */
const OPEN: Record<Size, FilledEvent> = {
  few: { eventId: FIRST_EVENT, holders: 1000, free: 900_000, waiters: 0 },
  many: { eventId: FIRST_EVENT + 1, holders: 900_000, free: 100_000, waiters: 0 },
}
const SOLD_OUT: Record<Size, FilledEvent> = {
  few: { eventId: FIRST_EVENT + 2, holders: 500, waiters: 500 },
  many: { eventId: FIRST_EVENT + 3, holders: 500_000, waiters: 500_000 },
}
/** Commands change claims, so each window gets an event with few claims of its own, from here on. */
const FIRST_OF_WINDOWS = FIRST_EVENT + 1000

/** What the requests of a window do. */
interface Operation {
  events: Record<Size, FilledEvent>
  /** @param offset number of the first holder, and of the first user, who no other window uses */
  traffic(event: FilledEvent, offset: number): Traffic
}

/** Bookings, of which so many in ten cancel instead. The users who got tickets first cancel first. */
function sale(events: Operation['events'], cancelsInTen: number): Operation {
  return {
    events,
    traffic: ({ eventId, holders, waiters }, offset) => ({
      kind: 'bookings',
      firstEventId: eventId,
      events: 1,
      cancelsInTen,
      holders: holders - offset,
      waiters,
      offset,
      prepared: REQUESTS,
      onFirstEvent: 0,
    }),
  }
}

const commands: Record<string, Operation> = {
  book: sale(OPEN, 0),
  'book and cancel': sale(OPEN, 5),
  'join and promote': sale(SOLD_OUT, 5),
}

/** Connections of the reads. They are few, so that reads do not wait for one another. */
const READERS = 16
/** How many different pages of a list are read. */
const PAGES = 1000

/** The first page of a list or feed, or pages from anywhere in it. */
function pages(
  events: Operation['events'],
  list: string,
  part: string,
  after?: (event: FilledEvent, random: (below: number) => number) => string | number,
): Operation {
  return {
    events,
    traffic(event) {
      const path = `/events/${event.eventId}/${list}`
      const paths = Array.from({ length: PAGES }, (_, i) =>
        after === undefined ? path : `${path}?after=${after(event, (below) => scatter(i, below))}`,
      )
      return { kind: 'pages', paths, part, prepared: REQUESTS }
    },
  }
}

/** The `next` of a page that ends with this number, as `encodeCursor` of the API makes it. */
const cursor = (list: string, sequence: number) =>
  Buffer.from(`${list}:${sequence}`).toString('base64url')

/** Every page is full. */
const PAGE_ROWS = 50
const BOOKINGS = '"bookings":[{"bookingId":'
const WAITING = '"waiting":[{"userId":'
const CHANGES = '"changes":[{"no":'

const reads: Record<string, Operation> = {
  'bookings, first page': pages(OPEN, 'bookings', BOOKINGS),
  'bookings, any page': pages(OPEN, 'bookings', BOOKINGS, ({ holders }, random) =>
    cursor('bookings', 1 + random(holders - PAGE_ROWS - 1)),
  ),
  'waiting list, first page': pages(SOLD_OUT, 'waiting-list', WAITING),
  'waiting list, any page': pages(
    SOLD_OUT,
    'waiting-list',
    WAITING,
    ({ holders, waiters }, random) =>
      cursor('waiting', holders + 1 + random(waiters - PAGE_ROWS - 1)),
  ),
  'changes, first page': pages(SOLD_OUT, 'changes', CHANGES),
  'changes, any page': pages(SOLD_OUT, 'changes', CHANGES, ({ holders, waiters }, random) =>
    random(holders + waiters - PAGE_ROWS),
  ),
  position: {
    events: SOLD_OUT,
    traffic: ({ eventId, waiters }) => ({
      kind: 'positions',
      eventId,
      waiters,
      prepared: REQUESTS,
    }),
  },
  'changes, long poll': {
    events: OPEN,
    traffic: ({ eventId }) => ({ kind: 'polls', eventId, after: 0, prepared: REQUESTS }),
  },
}

type Measure = (
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
) => Promise<boolean>

/** Measures bookings, cancellations and promotions. */
export const measureClaims: Measure = (...args) => measure(commands, ...args)
/** Measures lists, the change feed and positions. */
export const measureClaimReads: Measure = (...args) => measure(reads, ...args)

/** @returns whether the aim is reached and everything is correct */
async function measure(
  operations: Record<string, Operation>,
  ...[servers, settings, say]: Parameters<Measure>
): Promise<boolean> {
  const isCommand = operations === commands
  const names = Object.keys(operations)
  const kinds = new Map(
    names.flatMap((name) => SIZES.map((size) => [`${name}: ${size}`, { name, size }])),
  )
  const broken: string[] = []
  const rounds = await measureWindows(
    [...kinds.keys()],
    async (context) => {
      const { name, size } = kinds.get(context.kind) as { name: string; size: Size }
      const operation = operations[name] as Operation
      let event = operation.events[size]
      if (isCommand && size === 'few') {
        event = { ...event, eventId: FIRST_OF_WINDOWS + context.index }
        await fillEvent(context.client, event)
      }
      const offset = isCommand && size === 'many' ? context.index * REQUESTS : 0
      return runWindow(context, operation.traffic(event, offset))
    },
    (run) => `${describeReport(run.report)}  CPU ${short(cpuMsOf(run))} ms  ${describePages(run)}`,
    {
      servers,
      settings: isCommand ? settings : { connections: READERS, ...settings },
      say,
      async fill(client) {
        for (const events of [OPEN, SOLD_OUT])
          for (const size of SIZES) await fillEvent(client, events[size])
      },
      check: async (deployment) => void broken.push(...(await findBrokenPromises(deployment))),
    },
  )
  for (const promise of broken) say(`  BROKEN: ${promise}`)
  let isReached = true
  for (const name of names) {
    const of = (size: Size) => rounds.map((round) => round[`${name}: ${size}`] as Run)
    const [few, many] = [of('few'), of('many')]
    const ratioOf = (read: (run: Run) => number) =>
      medianRatio(many.map((run, i) => read(run) / read(few[i] as Run)))
    const cpu = ratioOf(cpuMsOf)
    isReached &&= cpu.median <= AIM
    const both = (read: (run: Run) => number) =>
      `${short(medianOf(few.map(read)))} and ${short(medianOf(many.map(read)))}`
    say(
      `${name}: CPU ms ${both(cpuMsOf)}, ${describeRatio(cpu)}, aim ≤ ${AIM} ×: ` +
        `${cpu.median <= AIM ? 'reached' : 'NOT reached'}; of PostgreSQL ${both(postgresMsOf)}, ` +
        `${describeRatio(ratioOf(postgresMsOf))}; pages ${both(pagesOf)}; p99 ms ${both(({ report }) => report.p99Ms)}`,
    )
  }
  return isReached && broken.length === 0
}

const pagesOf = ({ usage, report }: Run): number => usage.pages / report.answered
const postgresMsOf = ({ usage, report }: Run): number =>
  (usage.cpuMs.postgres ?? Number.NaN) / report.answered
const describePages = (run: Run): string => `${short(pagesOf(run))} pages`

async function runWindow(
  { client, deployment, meter, connections, index }: WindowContext<string>,
  traffic: Traffic,
): Promise<Run> {
  const { targets, jwtSecret } = deployment
  const load = { kind: 'closed', warmUpMs: WARM_UP_MS, measuredMs: LONGEST_WINDOW_MS } as const
  const plan = { targets, connections, jwtSecret, traffic, load }
  const poll = async (polls: Traffic & { kind: 'polls' }) => {
    const after = await lastChangeOf(client, polls.eventId)
    const following = { ...plan, traffic: { ...polls, after } }
    return whileBooking(deployment, polls.eventId, index, () => drive(following, meter))
  }
  const { report, usage } = await (traffic.kind === 'polls' ? poll(traffic) : drive(plan, meter))
  const bad = [...report.booked, ...report.canceled].filter(
    (code) => code === result.wrong || code === result.unanswered,
  ).length
  if (bad > 0) throw new Error(`${bad} answers were wrong: ${report.wrongAnswers[0]?.body}`)
  return { report, usage, faults: [] }
}

async function lastChangeOf(client: pg.Client, eventId: number): Promise<number> {
  const { rows } = await client.query('SELECT last_change FROM events WHERE event_id = $1', [
    eventId,
  ])
  return Number(rows[0]?.last_change)
}

/** Books one ticket after another until `run` has ended. */
async function whileBooking<T>(
  { targets: [target], jwtSecret }: Deployment,
  eventId: number,
  window: number,
  run: () => Promise<T>,
): Promise<T> {
  const api = createClient(`http://${target?.host}:${target?.port}`)
  let hasEnded = false
  const book = async () => {
    for (let i = 0; !hasEnded; i++) {
      const token = await signToken(`p${window}-${i}`, 'user', { secret: jwtSecret })
      await api.post('/book', { eventId }, { token })
    }
  }
  const booking = book()
  try {
    return await run()
  } finally {
    hasEnded = true
    await booking
  }
}
