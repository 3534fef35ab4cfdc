import { type Build, ownBuild, type ServiceProcess } from '../../stack/processes.ts'
import { startSystem } from '../../stack/system.ts'
import type { BenchSystem, Deployment, Tables } from './system.ts'

const tables: Tables = {
  insertEvents: `INSERT INTO events (event_id, total_tickets, available_tickets)
    SELECT id, $2::int, $2::int FROM generate_series(1, $1::int) AS id`,
  readEvents: 'SELECT event_id, total_tickets, available_tickets, waiting_count FROM events',
  // Read from the rows that the API lists, not from `claims`, which guards them.
  readClaims: `SELECT event_id, user_id, 'booking' AS kind FROM bookings WHERE status = 'confirmed'
    UNION ALL SELECT event_id, user_id, 'waiting' FROM waitlist_entries WHERE status = 'waiting'`,
  // MATERIALIZED: with a plan made while nobody was promoted, a join would read the whole list once
  // for each promoted entry.
  readDisorder: `WITH w AS MATERIALIZED (
      SELECT event_id, min(sequence) AS first FROM waitlist_entries WHERE status = 'waiting' GROUP BY 1
    )
    SELECT count(*)::int AS disorder FROM waitlist_entries p JOIN w USING (event_id)
    WHERE p.status = 'promoted' AND p.sequence > w.first`,
}

/** ticket-line as this checkout builds it. */
export const product: BenchSystem = createProduct('product', 'ticket-line', ownBuild)

/**
 * A build of ticket-line with production settings: one API process and one worker unless the
 * workload asks for more.
 */
export function createProduct(
  name: 'product' | 'baseline',
  title: string,
  build: Build,
): BenchSystem {
  return {
    name,
    title,
    async deploy({ servers, processes = 1, workers = 1, env = {} }) {
      // Commits up to 0214ed1 call the setting LINES.
      const lines = env['SHARED_LINES']
      const system = await startSystem({
        servers,
        apis: processes,
        workers,
        env: { NODE_ENV: 'production', ...env, ...(lines !== undefined && { LINES: lines }) },
        build,
      })
      return {
        targets: system.apis.map(({ url }) => ({
          host: '127.0.0.1',
          port: Number(new URL(url).port),
        })),
        processes: [
          ...system.apis.map((api) => describe('api', api)),
          ...system.workers.map((worker) => describe('worker', worker)),
        ],
        databaseUrl: system.databaseUrl,
        jwtSecret: system.jwtSecret,
        tables,
        warnings: () =>
          [...system.apis, ...system.workers].flatMap(({ logs }) =>
            logs.filter(({ level }) => level !== 'info').map((line) => JSON.stringify(line)),
          ),
        commandsPerJob: () => readCommandsPerJob(system.workers.map(({ url }) => url)),
        stop: system.stop,
      }
    },
  }
}

function describe(
  role: 'api' | 'worker',
  { pid, logs }: ServiceProcess,
): Deployment['processes'][number] {
  const listening = logs.find(({ msg }) => msg?.startsWith('Debugger listening on '))?.msg
  return { role, pid, ...(listening !== undefined && { inspectorUrl: listening.slice(22) }) }
}

/** Reads it from the metrics of the workers. */
async function readCommandsPerJob(workerUrls: string[]): Promise<number | undefined> {
  const metric = 'ticket_line_decided_job_commands'
  const pages = await Promise.all(
    workerUrls.map(async (url) => (await fetch(`${url}/metrics`)).text()),
  )
  const total = (suffix: 'sum' | 'count'): number =>
    pages
      .map((page) => Number(new RegExp(`^${metric}_${suffix} (.*)$`, 'm').exec(page)?.[1] ?? 0))
      .reduce((sum, value) => sum + value, 0)
  const jobs = total('count')
  return jobs === 0 ? undefined : total('sum') / jobs
}
