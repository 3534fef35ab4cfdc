import type { ServiceProcess } from '../../stack/processes.ts'
import { startSystem } from '../../stack/system.ts'
import type { BenchSystem, Deployment, Tables } from './system.ts'

const tables: Tables = {
  insertEvents: `INSERT INTO events (event_id, total_tickets, available_tickets)
    SELECT id, $2::int, $2::int FROM generate_series(1, $1::int) AS id`,
  readEvents: 'SELECT event_id, total_tickets, available_tickets, waiting_count FROM events',
  // From the rows that lists and answers are made of, not from the guard beside them.
  readClaims: `SELECT event_id, user_id, 'booking' AS kind FROM bookings WHERE status = 'confirmed'
    UNION ALL SELECT event_id, user_id, 'waiting' FROM waitlist_entries WHERE status = 'waiting'`,
  // Worked out once: planned while nobody was promoted, a join would read the whole list again for each who was.
  readDisorder: `WITH w AS MATERIALIZED (
      SELECT event_id, min(sequence) AS first FROM waitlist_entries WHERE status = 'waiting' GROUP BY 1
    )
    SELECT count(*)::int AS disorder FROM waitlist_entries p JOIN w USING (event_id)
    WHERE p.status = 'promoted' AND p.sequence > w.first`,
}

/** ticket-line as it is started everywhere: one API process and one worker where nothing else is asked, production settings. */
export const product: BenchSystem = {
  name: 'product',
  title: 'ticket-line',
  async deploy({ servers, processes = 1, workers = 1, env = {} }) {
    const system = await startSystem({
      servers,
      apis: processes,
      workers,
      env: { NODE_ENV: 'production', ...env },
    })
    return {
      targets: system.apis.map(({ url }) => ({ host: '127.0.0.1', port: Number(new URL(url).port) })),
      processes: [
        ...system.apis.map((api) => describe('api', api)),
        ...system.workers.map((worker) => describe('worker', worker)),
      ],
      databaseUrl: system.databaseUrl,
      jwtSecret: system.jwtSecret,
      tables,
      stop: system.stop,
    }
  },
}

function describe(role: 'api' | 'worker', { pid, logs }: ServiceProcess): Deployment['processes'][number] {
  const listening = logs.find(({ msg }) => msg?.startsWith('Debugger listening on '))?.msg
  return { role, pid, ...(listening !== undefined && { inspectorUrl: listening.slice(22) }) }
}
