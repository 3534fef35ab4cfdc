import type { BatchWrites, LoadedBatch, LoadRequest } from '@ticket-line/db'
import { DEFAULT_EVENT_DETAILS, DEFAULT_SALE_RULES, type LoggedChange } from '@ticket-line/shared'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chooseSettings } from '../model/choose.ts'
import { logOf } from '../model/row-store.ts'
import { runScenario } from '../model/run-scenario.ts'
import { type Scenario, scenarios } from '../model/scenario.ts'
import { createRandom } from '../random.ts'
import { command, createLineKit, expectRowsAgree, kindsOf, type LineKit } from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** Set MODEL_SEED to the seed that a failure prints to repeat it. */
const seed = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31)

interface Step {
  request: LoadRequest
  loaded: LoadedBatch
  writes?: BatchWrites
}

const startMs = Date.now() - 3_600_000

/** Runs a scenario on the rows of the model test and records what each batch read and wrote. */
function record(scenario: Scenario): Step[] {
  const steps: Step[] = []
  runScenario(
    scenario,
    {
      loaded: (loaded, request) => steps.push(structuredClone({ request, loaded })),
      writes: (writes) => Object.assign(steps.at(-1) as Step, { writes: structuredClone(writes) }),
    },
    startMs,
  )
  return steps
}

/** Creates the events of a scenario. The statement of the line writes their settings. */
async function createEvents({ events, lastSequence }: Scenario): Promise<void> {
  const settings: BatchWrites['settings'] = []
  for (const [i, event] of events.entries()) {
    await kit.createEvent(i + 1, event.totalTickets)
    if (event.settings === undefined) continue
    settings.push({
      ...DEFAULT_EVENT_DETAILS,
      ...DEFAULT_SALE_RULES,
      ...chooseSettings(createRandom(event.settings), startMs),
      eventId: i + 1,
    })
  }
  await kit.query('UPDATE events SET last_sequence = $1', [lastSequence])
  const tx = await kit.applyDeps.store.begin({
    eventIds: settings.map(({ eventId }) => eventId),
    whenLocked: 'wait',
    jobIds: [],
    users: [],
    heads: [],
    keys: [],
    named: [],
    due: [],
    details: [],
  })
  await tx.commit({
    events: [],
    settings,
    claimsAdded: [],
    claimsMoved: [],
    claimsRemoved: [],
    bookingsAdded: [],
    bookingsChanged: [],
    entriesAdded: [],
    entriesLeft: [],
    blocks: [],
    log: [],
    decided: [],
    nowMs: startMs,
  })
}

/** The changes that commands have made. */
function readLog(): Promise<unknown[]> {
  return kit.query(
    `SELECT event_id::float8 AS "eventId", no::float8, type, user_id AS "userId", sequence::float8, actor,
      command_id AS "commandId", data FROM changes WHERE type <> 'event.created' ORDER BY event_id, no`,
  )
}

/** The rows in a fixed order, without the time, which differs. */
function rowsOf(loaded: LoadedBatch) {
  const { events, claims, heads, stored, keys, lapsed, due, expiring, details } = loaded
  const by = <Row>(name: (row: Row) => string, rows: Row[]): Row[] =>
    rows.toSorted((a, b) => (name(a) < name(b) ? -1 : 1))
  return {
    events,
    heads,
    due,
    expiring,
    lapsed: by((row) => `${row.eventId} ${row.sequence}`, lapsed),
    details: by((row) => String(row.eventId), details),
    claims: by((row) => `${row.eventId} ${row.userId}`, claims),
    stored: by((row) => row.commandId, stored),
    keys: by((row) => `${row.command.caller} ${row.keyHash}`, keys),
  }
}

describe('the SQL statements of a batch', () => {
  // Steps of the clock and of the API are left out; other tests cover them.
  const histories = scenarios(300).map((scenario) => ({
    ...scenario,
    jobs: scenario.jobs.map((job) => ({
      ...job,
      mode: job.mode === 'abandoned' ? ('together' as const) : job.mode,
      dayAfterwards: false,
      prunes: false,
    })),
  }))

  it('reads and writes the same rows as the model tables', { timeout: 120_000 }, async () => {
    for (const [number, scenario] of fc.sample(histories, { seed, numRuns: 12 }).entries()) {
      await kit.query(`SET LOCAL ticket_line.pruning = 'on';
        TRUNCATE events, event_organizers, claims, bookings, waitlist_entries, waitlist_blocks, commands, idempotency_keys, changes`)
      await createEvents(scenario)

      const logged: Omit<LoggedChange, 'atMs'>[] = []
      for (const { request, loaded, writes } of record(scenario)) {
        await using tx = await kit.applyDeps.store.begin(request)
        expect(rowsOf(tx.loaded), `MODEL_SEED=${seed}, scenario ${number}`).toEqual(rowsOf(loaded))
        if (writes === undefined) continue
        await tx.commit(writes)
        logged.push(...logOf(writes).map(({ atMs, ...change }) => change))
      }
      expect(await readLog()).toEqual(
        logged.toSorted((a, b) => a.eventId - b.eventId || a.no - b.no),
      )
      await expectRowsAgree(kit)
    }
  })

  it('computes positions across several blocks of a waiting list with gaps', async () => {
    await kit.createEvent(50, 0)
    await kit.query(`
      INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
        SELECT 50, n, 'user-' || n, CASE WHEN n % 3 = 0 THEN 'withdrawn' ELSE 'waiting' END, now()
        FROM generate_series(1, 5000) AS n`)
    await kit.query(`INSERT INTO claims SELECT event_id, user_id, 'waiting', sequence FROM waitlist_entries
      WHERE event_id = 50 AND status = 'waiting'`)
    await kit.query(`INSERT INTO waitlist_blocks SELECT event_id, sequence >> 10, count(*) FROM waitlist_entries
      WHERE event_id = 50 AND status = 'waiting' GROUP BY 1, 2`)
    await kit.query(`UPDATE events SET last_sequence = 5000,
      waiting_count = (SELECT count(*) FROM claims WHERE event_id = 50) WHERE event_id = 50`)
    await expectRowsAgree(kit)

    const numbers = [1, 2, 1022, 1024, 1025, 2048, 3073, 4999]
    const waiting = numbers.filter((n) => n % 3 !== 0)
    const { outcomes } = await kit.apply(
      kit.job(...waiting.map((n) => command('book', 50, `user-${n}`))),
    )

    expect(
      outcomes.map((outcome) => ('position' in outcome ? outcome.position : undefined)),
    ).toEqual(waiting.map((n) => n - Math.floor(n / 3)))
  })

  it('stores every user id unchanged', async () => {
    const userIds = [
      ...[
        '"',
        '\\',
        '\\"',
        "'",
        '{',
        '}',
        '{}',
        ',',
        'a,b',
        'NULL',
        'null',
        'true',
        '1',
        '-',
        '',
        ' ',
        ' ann ',
        '$1',
      ],
      ...[
        '\\n',
        '\\u0041',
        '%',
        '😀',
        '\u2028',
        '\u00a0',
        '\u200b',
        'é',
        'e\u0301',
        'ANN',
        'ann',
        'x'.repeat(128),
      ],
    ].filter((userId) => userId !== '')
    await kit.createEvent(60, userIds.length - 2)

    const job = kit.job(...userIds.map((userId) => command('book', 60, userId)))
    const again = kit.job(...userIds.map((userId) => command('book', 60, userId)))

    expect(new Set(kindsOf(await kit.apply(job)))).toEqual(new Set(['booked', 'waiting']))
    expect(new Set(kindsOf(await kit.apply(again)))).toEqual(
      new Set(['already_booked', 'already_waiting']),
    )
    const rows = await kit.query<{ user_id: string }>(
      `SELECT user_id FROM commands WHERE event_id = 60 AND outcome LIKE 'already%' ORDER BY command_id COLLATE "C"`,
    )
    expect(rows.map((row) => row.user_id).toSorted()).toEqual(userIds.toSorted())
    const [head] = await kit.query<{ user_id: string }>(
      'SELECT user_id FROM claims WHERE event_id = 60 AND kind = $1 ORDER BY sequence LIMIT 1',
      ['waiting'],
    )
    const { outcomes } = await kit.apply(kit.job(command('cancel', 60, userIds[0] as string)))
    expect(outcomes[0]).toMatchObject({ outcome: 'canceled', promotedUserId: head?.user_id })
    await expectRowsAgree(kit)
  })
})
