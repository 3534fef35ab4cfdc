import pg from 'pg'
import { run } from '../../../tools/dev-stack/commands.mjs'
import { withDatabase } from '../../stack/databases.ts'
import { type Env, type ServiceName, startScript } from '../../stack/processes.ts'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import type { Scenario } from './scenario.ts'

const EVENTS = 3
const ENDS_WITHIN_MS = 20_000
const OTHER_DATABASE = 'other_installation'

/** Settings with which a process must not start, and the variable that its error must name. */
const LAYOUTS: { what: string; env: Env; names: string }[] = [
  { what: 'shared lines', env: { SHARED_LINES: '4' }, names: 'SHARED_LINES' },
  { what: 'another number of shards', env: { SHARDS: '2' }, names: 'SHARDS' },
  { what: 'another key prefix', env: { KEY_PREFIX: 'elsewhere' }, names: 'KEY_PREFIX' },
]

export const strangers: Scenario = {
  name: 'strangers',
  proves:
    'A process of another installation, or with another layout of the lines, ends at start with one error line, and the fleet is not disturbed.',
  async run({ log }) {
    const testbed = await openTestbed()
    const { fleet, history } = testbed
    const missed: string[] = []
    try {
      const loads = await loadEvents(testbed, EVENTS)
      const otherUrl = await createOtherDatabase(fleet.postgres.url, fleet.build.migrateScript)
      const own: Env = {
        ...fleet.env,
        REDIS_URL: fleet.redis.url,
        DATABASE_URL: fleet.postgres.url,
      }
      const cases = [
        { what: 'another installation', env: { DATABASE_URL: otherUrl }, names: 'KEY_PREFIX' },
        ...LAYOUTS,
      ]
      for (const { what, env, names } of cases) {
        for (const service of ['api', 'booking-worker'] as const) {
          const line = await lastLine(fleet.build.script(service), service, { ...own, ...env })
          log(`${what}, ${service}: ${line ?? 'it started'}`)
          if (line === undefined) missed.push(`${what}: ${service} started`)
          else if (!line.includes(names))
            missed.push(`${what}: ${service} does not name ${names}: ${line}`)
        }
      }
      await loads.allServed(performance.now())
      await loads.stop()
      return {
        figures: {
          requests: history.commands.length,
          refusedStarts: cases.length * 2 - missed.length,
        },
        missed,
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}

/** @returns the last log line of a process that ended with code 1; `undefined` if it did not end */
async function lastLine(
  script: string,
  service: ServiceName,
  env: Env,
): Promise<string | undefined> {
  const foreign = await startScript(`foreign ${service}`, script, env)
  const timer = setTimeout(() => void foreign.kill(), ENDS_WITHIN_MS)
  const { code } = await foreign.exited
  clearTimeout(timer)
  return code === 1 ? (foreign.logs.at(-1)?.msg ?? '') : undefined
}

async function createOtherDatabase(url: string, migrateScript: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`CREATE DATABASE ${OTHER_DATABASE}`)
  } finally {
    await client.end()
  }
  const otherUrl = withDatabase(url, OTHER_DATABASE)
  await run(process.execPath, [migrateScript], { env: { ...process.env, DATABASE_URL: otherUrl } })
  return otherUrl
}
