import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../../stack/databases.ts'
import { check } from '../check/check.ts'
import { inOrderOfDecision } from '../check/decision-order.ts'
import type { Finding } from '../check/finding.ts'
import type { Loss, Persistence } from '../fleet/redis-host.ts'
import { loseRedis } from '../injection/redis-losses.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 10
const TICKETS = 50
const COMMANDS = 5000
const CLIENTS_PER_EVENT = 3
const DECIDED_WITHIN_MS = 15_000
const GIVE_UP_MS = 60_000
const PAUSE_MS = 20

const LOSSES: { name: string; loss: Loss; persistence: Persistence }[] = [
  { name: 'flushed', loss: 'flush', persistence: 'everysec' },
  { name: 'filesDeleted', loss: 'deleted-files', persistence: 'everysec' },
  { name: 'notPersistent', loss: 'killed', persistence: 'none' },
]

export const lostRedis: Scenario = {
  name: 'lost-redis',
  proves:
    'Commands get 202 while no worker runs. Then Redis loses everything (flushed; killed and its files deleted; killed with `appendonly no`), and a worker starts. All commands are decided within 15 s, in order of acceptance, and before those that were accepted since.',
  async run({ scale, log }) {
    const figures: Record<string, number> = {}
    const missed: string[] = []
    const findings: Finding[] = []
    for (const { name, loss, persistence } of LOSSES) {
      const testbed = await openTestbed({ workers: 0, persistence })
      try {
        const commands = await acceptCommands(testbed, Math.round((COMMANDS * scale) / EVENTS))
        const lostAt = performance.now()
        await loseRedis(testbed.fleet, loss)
        const later = acceptOneEach(testbed)
        await testbed.fleet.addWorker()
        const startedAt = performance.now()
        await until(() => areDecided(testbed), { timeoutMs: GIVE_UP_MS, everyMs: 20 })
        const decidedMs = Math.round(performance.now() - startedAt)
        const acceptingMs = Math.round((await later) - lostAt)
        log(
          `${name}: ${commands} commands decided ${decidedMs} ms after the start of the worker; new ones accepted after ${acceptingMs} ms`,
        )
        figures[`${name}Accepted`] = commands
        figures[`${name}DecidedMs`] = decidedMs
        figures[`${name}AcceptingMs`] = acceptingMs
        const evidence = await testbed.collectEvidence()
        findings.push(
          ...check(evidence),
          ...outOfOrder(testbed, inOrderOfDecision(evidence.journal, evidence.rows)),
        )
        missed.push(
          ...atMost(`${name}: time until all are decided, ms`, decidedMs, DECIDED_WITHIN_MS),
        )
      } finally {
        await testbed.close()
      }
    }
    return { figures, missed, findings }
  },
}

/** Sends commands to each event until so many have got 202. @returns how many there are */
async function acceptCommands(testbed: Testbed, perEvent: number): Promise<number> {
  let accepted = 0
  const clients: Promise<void>[] = []
  for (let eventId = 1; eventId <= EVENTS; eventId++) {
    await testbed.createEvent(eventId, TICKETS)
    let next = 0
    for (let client = 0; client < CLIENTS_PER_EVENT; client++)
      clients.push(
        (async () => {
          while (next < perEvent) {
            await accept(testbed, eventId, `user-${next++}`)
            accepted += 1
          }
        })(),
      )
  }
  await Promise.all(clients)
  return accepted
}

/** One more command for each event. @returns when all of them have got 202, monotonic ms */
async function acceptOneEach(testbed: Testbed): Promise<number> {
  await Promise.all(Array.from({ length: EVENTS }, (_, index) => accept(testbed, index + 1, LATER)))
  return performance.now()
}

/** The user whose commands are accepted after the loss. */
const LATER = 'later'

/** Books asynchronously, at both API processes in turn, until the answer is 202. */
async function accept(testbed: Testbed, eventId: number, userId: string): Promise<void> {
  const { endpoints } = testbed
  for (let turn = eventId; ; turn++) {
    const endpoint = endpoints[turn % endpoints.length] ?? endpoints[0]
    const command = commandOf('book', eventId, userId)
    const { answer } = await sendCommand(testbed, endpoint, command, { prefer: 'respond-async' })
    if (answer?.status === 202) return
    await sleep(PAUSE_MS)
  }
}

async function areDecided({ fleet }: Testbed): Promise<boolean> {
  const [before] = fleet.losses
  const jobIds = before?.recorded.map(({ jobId }) => jobId)
  const text = `SELECT count(*)::int AS count FROM unnest($1::text[]) AS job_id
    WHERE NOT EXISTS (SELECT FROM commands
      WHERE command_id = job_id || '.' || (split_part(job_id, '.', 3)::int - 1))`
  const [row] = await queryOnce(fleet.postgres.url, text, [jobIds])
  return row.count === 0
}

/**
 * Finds lines that have not decided exactly what was recorded before the loss first, in its order.
 * No worker had a job at the loss, so no job may have another place.
 */
function outOfOrder({ fleet }: Testbed, lines: ReturnType<typeof inOrderOfDecision>): Finding[] {
  const [loss] = fleet.losses
  const recorded = Map.groupBy(loss?.recorded ?? [], ({ lineName }) => lineName)
  return [...recorded].flatMap(([lineName, jobs]): Finding[] => {
    const wanted = jobs.map(({ jobId }) => jobId)
    const decided = [...new Set(lines.get(lineName)?.commands.map(({ jobId }) => jobId))]
    const at = wanted.findIndex((jobId, place) => decided[place] !== jobId)
    if (at === -1) return []
    const text = `${loss?.kind}: ${lineName} decided ${decided[at]} at place ${at + 1}, not ${wanted[at]}`
    return [{ promise: 'reordered', text }]
  })
}
