import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../../stack/databases.ts'
import { check } from '../check/check.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const ROUNDS = 12
const EVENTS = 3
const TICKETS = 12
const WAITING = 6
const HOLD_SECONDS = 5
/** A settle enters its line within 2 s of the deadline. The rest is for its decision. */
const LAPSED_WITHIN_MS = 3000
/** A settle enters its line within 5 s of the end of a fault. */
const LAPSED_AFTER_FAULT_MS = 6000
const KILL_EVERY_MS = 300
const GIVE_UP_MS = 60_000

/** What is broken while the holds of a round lapse. */
type Fault = 'nothing' | 'workers' | 'redis' | 'postgres'

const FAULTS: Fault[] = ['nothing', 'workers', 'redis', 'postgres']

export const lapses: Scenario = {
  name: 'lapses',
  proves:
    'Holds lapse within 3 s of their deadline, or 6 s after workers, Redis or PostgreSQL were killed in that moment. Their tickets are offered in order.',
  async run({ scale, log }) {
    const testbed = await openTestbed()
    const { history } = testbed
    const missed: string[] = []
    const quietMs: number[] = []
    const faultMs: number[] = []
    try {
      const rounds = Math.max(FAULTS.length, Math.round(ROUNDS * scale))
      for (let round = 0; round < rounds; round++) {
        const fault = FAULTS[round % FAULTS.length] as Fault
        const first = 1 + round * EVENTS
        const { deadlineMs } = await holdTickets(testbed, first)
        // What is in flight while the holds lapse is what the fault may break.
        await sleep(Math.max(0, deadlineMs - Date.now() - KILL_EVERY_MS))
        const faultEndsMs = await breakWhile(testbed, fault)
        const lapsedMs = await lapsed(testbed, first)
        const lateMs = Math.round(lapsedMs - Math.max(deadlineMs, faultEndsMs))
        ;(fault === 'nothing' ? quietMs : faultMs).push(lateMs)
        log(`${fault}: all holds had lapsed ${lateMs} ms after the deadline or the fault`)
      }
      missed.push(
        ...atMost('time from the deadline, ms', Math.max(...quietMs), LAPSED_WITHIN_MS),
        ...atMost('time from the end of a fault, ms', Math.max(...faultMs), LAPSED_AFTER_FAULT_MS),
      )
      const evidence = await testbed.collectEvidence()
      const ofFaults = spreadOf(faultMs)
      return {
        figures: {
          requests: history.commands.length,
          rounds,
          lapsed: evidence.rows.bookings.filter(({ status }) => status === 'expired').length,
          lateQuietMostMs: spreadOf(quietMs).most,
          lateAfterFaultP50Ms: ofFaults.p50,
          lateAfterFaultMostMs: ofFaults.most,
        },
        missed,
        findings: check(evidence),
      }
    } finally {
      await testbed.close()
    }
  },
}

/**
 * Creates events whose tickets are all held, with people on the waiting list.
 * @returns their number, and when the last hold ends, ms since 1970
 */
export async function holdTickets(
  testbed: Testbed,
  firstEvent: number,
): Promise<{ events: number; deadlineMs: number }> {
  const events = Array.from({ length: EVENTS }, (_, index) => firstEvent + index)
  for (const eventId of events)
    await testbed.createEvent(eventId, TICKETS, { holdSeconds: HOLD_SECONDS })
  const buyers = Array.from({ length: TICKETS + WAITING }, (_, index) => `user-${index}`)
  await Promise.all(
    events.map(async (eventId, index) => {
      const endpoint = testbed.endpoints[index % testbed.endpoints.length] ?? testbed.endpoints[0]
      for (const userId of buyers)
        await sendCommand(testbed, endpoint, commandOf('book', eventId, userId))
    }),
  )
  const [row] = await queryOnce(
    testbed.fleet.postgres.url,
    `SELECT (extract(epoch FROM max(expires_at)) * 1000)::float8 AS at FROM bookings
     WHERE event_id BETWEEN $1 AND $2 AND status = 'held'`,
    [events[0], events.at(-1)],
  )
  return { events: EVENTS, deadlineMs: row.at }
}

/** Breaks something while holds lapse. @returns when everything is ready again, ms since 1970 */
async function breakWhile({ fleet }: Testbed, fault: Fault): Promise<number> {
  switch (fault) {
    case 'nothing':
      return 0
    case 'workers':
      for (let kill = 0; kill < 3; kill++) {
        await Promise.all(fleet.workers.map((slot) => slot.kill()))
        await sleep(KILL_EVERY_MS)
      }
      break
    case 'redis':
    case 'postgres':
      await fleet[fault].kill()
      await sleep(2 * KILL_EVERY_MS)
      await fleet[fault].restart()
      break
  }
  await fleet.ready()
  return Date.now()
}

/** Waits until all holds of a round have lapsed. @returns the time, ms since 1970 */
export async function lapsed(testbed: Testbed, firstEvent: number): Promise<number> {
  const isOver = async (): Promise<boolean> => {
    const text = `SELECT FROM bookings WHERE event_id BETWEEN $1 AND $2 AND status = 'held'
      AND NOT promoted LIMIT 1`
    const held = await queryOnce(testbed.fleet.postgres.url, text, [
      firstEvent,
      firstEvent + EVENTS - 1,
    ])
    return held.length === 0
  }
  await until(isOver, { timeoutMs: GIVE_UP_MS, everyMs: 20 })
  return Date.now()
}

/** The wall clock of PostgreSQL, ms since 1970. */
export async function databaseNowMs({
  postgres,
}: Pick<Testbed['fleet'], 'postgres'>): Promise<number> {
  const text = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at'
  return (await queryOnce(postgres.url, text))[0].at
}
