import pg from 'pg'
import type { Servers } from '../stack/servers.ts'
import type { Load } from './driver/plan.ts'
import { createMeter, type Meter } from './measure/meter.ts'
import { product } from './systems/product.ts'
import type { Deployment } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

/** Windows of each kind that count. One more of each comes first, for the JIT compilers. */
const ROUNDS = 9
const PLENTY = 1_000_000
const WARM_UP_MS = 2000
const MEASURED_MS = 5000
/** Warnings of the product that are shown if a window fails. */
const WARNINGS_SHOWN = 20
/** More than the product serves on two cores. */
const PREPARED_PER_SECOND = 12_000

/** What a window needs. It books the event `eventId`, which no other window books. */
export interface WindowContext<Kind extends string> {
  kind: Kind
  /** Numbers the windows from 0. */
  index: number
  eventId: number
  client: pg.Client
  deployment: Deployment
  meter: Meter
  connections: number
  load: Load
  /** How many requests to prepare. */
  prepared: number
}

/**
 * Measures windows of all kinds in turn, in one deployment and in the opposite order in every
 * second round, so that a change in the machine's speed affects all kinds.
 *
 * @param run measures one window
 * @param describe one line about a window
 * @returns the windows of each round that counts
 */
export async function measureWindows<Kind extends string, Measured>(
  kinds: readonly Kind[],
  run: (context: WindowContext<Kind>) => Promise<Measured>,
  describe: (measured: Measured) => string,
  options: {
    servers: Servers
    settings: WorkloadSettings
    say: (text: string) => void
    /** Called before the first window. */
    fill?: (client: pg.Client) => Promise<void>
    /** Called after the last window. */
    check?: (deployment: Deployment) => Promise<void>
  },
): Promise<Record<Kind, Measured>[]> {
  const { servers, settings, say, fill, check } = options
  const deployment = await product.deploy({
    servers,
    ...(settings.productEnv && { env: settings.productEnv }),
  })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  // A failed query rejects its own promise.
  client.on('error', () => undefined)
  let meter: Meter | undefined
  const rounds: Record<Kind, Measured>[] = []
  const connections = settings.connections ?? 64
  const load = loadOf(settings)
  const prepared = preparedFor(load)
  try {
    await client.connect()
    meter = await createMeter(servers, deployment)
    await client.query(deployment.tables.insertEvents, [(ROUNDS + 1) * kinds.length, PLENTY])
    await fill?.(client)
    let index = 0
    for (let round = 0; round <= ROUNDS; round++) {
      const measured: Partial<Record<Kind, Measured>> = {}
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        await client.query('ANALYZE')
        await client.query('CHECKPOINT')
        const context = { kind, index, eventId: index + 1, client, deployment, meter, load }
        const window = await run({ ...context, connections, prepared })
        measured[kind] = window
        say(`  ${round} ${kind.padEnd(10)} ${describe(window)}`)
        index++
      }
      if (round > 0) rounds.push(measured as Record<Kind, Measured>)
    }
    await check?.(deployment)
    return rounds
  } catch (error) {
    for (const warning of (deployment.warnings?.() ?? []).slice(-WARNINGS_SHOWN)) say(warning)
    throw error
  } finally {
    await meter?.close()
    await client.end()
    await deployment.stop()
  }
}

function loadOf({ rate, warmUpMs = WARM_UP_MS, measuredMs = MEASURED_MS }: WorkloadSettings): Load {
  return rate === undefined
    ? { kind: 'closed', warmUpMs, measuredMs }
    : { kind: 'open', ratePerSecond: rate, warmUpMs, measuredMs }
}

/** An open loop begins with closed ones; see `driver/main.ts`. */
function preparedFor({ kind, warmUpMs, measuredMs }: Load): number {
  const seconds = (warmUpMs + measuredMs) / 1000 + (kind === 'open' ? 3.5 : 0)
  return Math.ceil(PREPARED_PER_SECOND * seconds)
}
