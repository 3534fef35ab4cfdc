import pg from 'pg'
import { run } from '../../../tools/dev-stack/commands.mjs'
import { withDatabase } from '../../stack/databases.ts'
import { type Env, type ServiceName, startScript } from '../../stack/processes.ts'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openStage } from '../testbed.ts'
import type { Scenario } from './scenario.ts'

const EVENTS = 3
const ENDS_WITHIN_MS = 20_000
const OTHER_DATABASE = 'other_installation'

/** Processes that must not join the fleet's lines, and the setting that their message names. */
const LAYOUTS: { what: string; env: Env; names: string }[] = [
  { what: 'shared lines', env: { SHARED_LINES: '4' }, names: 'SHARED_LINES' },
  { what: 'other shards', env: { SHARDS: '2' }, names: 'SHARDS' },
  { what: 'another key prefix', env: { KEY_PREFIX: 'elsewhere' }, names: 'KEY_PREFIX' },
]

export const strangers: Scenario = {
  name: 'strangers',
  shows:
    'a process of another installation, or with another layout of the lines, ends at start with one line that says why; the fleet goes on undisturbed',
  async run({ patches = [], say }) {
    const stage = await openStage({ patches })
    const { fleet, history } = stage
    const missed: string[] = []
    try {
      const loads = await loadEvents(stage, EVENTS)
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
          say(`${what}, ${service}: ${line ?? 'it went on'}`)
          if (line === undefined) missed.push(`${what}: ${service} joined the lines`)
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
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}

/** @returns the last thing that a process logged before it ended with code 1; `undefined` if it did not end */
async function lastLine(
  script: string,
  service: ServiceName,
  env: Env,
): Promise<string | undefined> {
  const stranger = await startScript(`stranger ${service}`, script, env)
  const timer = setTimeout(() => void stranger.kill(), ENDS_WITHIN_MS)
  const { code } = await stranger.exited
  clearTimeout(timer)
  return code === 1 ? (stranger.logs.at(-1)?.msg ?? '') : undefined
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
