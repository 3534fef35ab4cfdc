import { parseArgs } from 'node:util'
import { type RedisKind, readRedisKind } from '../stack/redis/deployment.ts'

export interface HerdOptions {
  buyers: number
  tickets: number
  connections: number
  /** Number of bookings to cancel afterwards. */
  cancel: number
  /** Send `Prefer: respond-async` and poll the jobs. */
  async: boolean
  /** Use an event with holds and offers, which every third buyer never confirms. */
  holds: boolean
  /** Time between the printed address of the page and the first booking. */
  startAfterS: number
  /** Print the report as JSON and nothing else. */
  json: boolean
  /** API processes to start. Ignored if BASE_URL is set. */
  apis: number
  /** Worker processes to start. Ignored if BASE_URL is set. */
  workers: number
  /** The Redis to start. Default: what `TEST_REDIS` names. Ignored if BASE_URL is set. */
  redis?: RedisKind
  /** Put a PgBouncer in session mode in front of PostgreSQL. Ignored if BASE_URL is set. */
  pgbouncer: boolean
  /** A commit to compare this build with. */
  baseline?: string
}

export const usage = `npm run herd -- [options]

The load test: many buyers book tickets of one new event at the same time, and some cancel. Checks
every promise that shows in the answers and in the lists of the event. In a system of its own, it also
runs \`ops verify\` afterwards.

It starts its own system, or uses the one at BASE_URL. If BASE_URL has several addresses, separated by
commas, they get requests in turn. Tokens are signed with JWT_SECRET, or with the secret that npm start
keeps in .data/. The page at the address that it prints shows the event live.

  --buyers N       default 5000        --connections N  default 128
  --tickets N      default 500         --cancel N       bookings to cancel, default 50
  --async          send respond-async and poll instead of waiting for each answer
  --holds          tickets are held for 5 s and offered to the waiting list for 5 s; every third buyer
                   never confirms; ends when all tickets are confirmed. Also checks every row of the
                   event. A system at BASE_URL needs DATABASE_URL for that. Not with --cancel
  --start-after N  seconds between the printed address and the first booking, so that you can open the
                   page; default 5 on a terminal, else 0
  --apis N         --workers N         processes to start, default 1 each
  --redis KIND     the Redis to start: single (default), valkey, cluster (3 masters, 3 replicas) or
                   sentinel (3 Sentinels, 1 master, 2 replicas)
  --pgbouncer      the processes reach PostgreSQL through a PgBouncer in session mode. Not with
                   BASE_URL
  --baseline COMMIT                    builds that commit, runs the herd on both builds in 9 rounds,
                   and prints the ratio of their bookings/s. Not with --holds or --pgbouncer
  --json           print the report as JSON`

/** Time to open the page, if a person starts the herd. */
const START_AFTER_S = 5

/**
 * @param isTerminal whether a person reads the output
 * @throws Error with a message for the terminal
 */
export function readOptions(args: string[], isTerminal = false): HerdOptions | 'help' {
  const text = { type: 'string' } as const
  const number = text
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    args,
    options: {
      buyers: number,
      tickets: number,
      connections: number,
      cancel: number,
      apis: number,
      workers: number,
      'start-after': number,
      redis: text,
      baseline: text,
      async: flag,
      holds: flag,
      pgbouncer: flag,
      json: flag,
      help: { ...flag, short: 'h' },
    },
  })
  if (values.help) return 'help'
  const buyers = whole('buyers', values.buyers, 5000, 1)
  const tickets = whole('tickets', values.tickets, 500, 0)
  if (values.holds && values.cancel !== undefined)
    throw new Error('--cancel cannot be used with --holds')
  if (values.holds && values.baseline !== undefined)
    throw new Error('--baseline cannot be used with --holds')
  if (values.pgbouncer && values.baseline !== undefined)
    throw new Error('--baseline cannot be used with --pgbouncer')
  const waitS = isTerminal && !values.json ? START_AFTER_S : 0
  return {
    buyers,
    tickets,
    connections: whole('connections', values.connections, 128, 1),
    cancel: Math.min(whole('cancel', values.cancel, 50, 0), tickets, buyers),
    async: values.async,
    holds: values.holds,
    pgbouncer: values.pgbouncer,
    startAfterS: whole('start-after', values['start-after'], waitS, 0),
    json: values.json,
    apis: whole('apis', values.apis, 1, 1),
    workers: whole('workers', values.workers, 1, 1),
    ...(values.redis !== undefined && { redis: readRedisKind(values.redis) }),
    ...(values.baseline !== undefined && { baseline: values.baseline }),
  }
}

function whole(name: string, text: string | undefined, fallback: number, min: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new Error(`--${name} must be a whole number of at least ${min}, not "${text}"`)
}
