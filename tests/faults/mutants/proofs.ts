import pg from 'pg'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../../stack/databases.ts'
import type { Env } from '../../stack/processes.ts'
import { check } from '../check/check.ts'
import type { Finding } from '../check/finding.ts'
import type { Mutation } from '../fleet/mutation.ts'
import type { CommandInput } from '../history.ts'
import type { PlannedFault } from '../injection/plan.ts'
import { loseRedis } from '../injection/redis-losses.ts'
import { commandOf, STAFF, sendCommand } from '../load/send-command.ts'
import { runRig } from '../rig.ts'
import { freezeInTransaction } from '../scenarios/frozen-transaction.ts'
import { openTestbed, type Testbed } from '../testbed.ts'

/** Runs a mutated system. @returns what the rig found; empty if every promise was kept */
export type Proof = (mutations: Mutation[]) => Promise<string[]>

const SEED = 11
const RIG_SECONDS = 15
/** How long a command may take to reach PostgreSQL on a busy machine, ms. */
const SOON_MS = 15_000

const textsOf = (findings: Finding[]): string[] =>
  findings.map(({ promise, text }) => `${promise}: ${text}`)

async function onTestbed(
  mutations: Mutation[],
  play: (testbed: Testbed) => Promise<void>,
  env: Env = {},
): Promise<Finding[]> {
  const testbed = await openTestbed({ mutations, env })
  try {
    await play(testbed)
    return check(await testbed.collectEvidence())
  } finally {
    await testbed.close()
  }
}

/**
 * Two users cancel at once, in jobs of their own. A lock on the table of keys holds the first
 * transaction between its reads and its writes, until the second one has committed or waits for the
 * first. Without the row lock, both read the same counters. It is not enough to make both write at
 * once: the second update would find another version of the row, write nothing and be retried.
 * Findings about the order are ignored, as several jobs run at once.
 */
export const cancelAtOnce: Proof = async (mutations) => {
  const play = async (testbed: Testbed): Promise<void> => {
    const [first, second = first] = testbed.endpoints
    await testbed.createEvent(1, 10)
    for (const userId of ['ann', 'bob'])
      await sendCommand(testbed, first, commandOf('book', 1, userId))
    const locker = new pg.Client({ connectionString: testbed.fleet.postgres.url })
    await locker.connect()
    try {
      await locker.query('BEGIN')
      // Reads go on. Only a command with a key writes to this table.
      await locker.query('LOCK TABLE idempotency_keys IN SHARE MODE')
      const ofAnn = sendCommand(testbed, first, commandOf('cancel', 1, 'ann', 'key'))
      await expectSoon('the first command waits', async () => (await countBlocked(locker)) === 1)
      let isBobAnswered = false
      const ofBob = sendCommand(testbed, second, commandOf('cancel', 1, 'bob')).then(() => {
        isBobAnswered = true
      })
      await expectSoon(
        'the second command is answered or waits',
        async () => isBobAnswered || (await countBlocked(locker)) === 2,
      )
      await locker.query('ROLLBACK')
      await Promise.all([ofAnn, ofBob])
    } finally {
      await locker.end()
    }
  }
  // A transaction that timed out would read again.
  const env = { WORKER_PG_STATEMENT_TIMEOUT_MS: '60000' }
  const findings = await onTestbed(mutations, play, env)
  return textsOf(findings.filter((finding) => finding.promise !== 'reordered'))
}

/** The number of transactions of the workers that wait for a lock. */
async function countBlocked(client: pg.Client): Promise<number> {
  // Within a transaction, PostgreSQL repeats what it first read of the activity.
  await client.query('SELECT pg_stat_clear_snapshot()')
  const { rowCount } = await client.query(
    `SELECT FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'booking-worker'
       AND wait_event_type = 'Lock'`,
  )
  return rowCount ?? 0
}

/** @throws if the condition stays false, as the run then proves nothing */
async function expectSoon(what: string, check: () => Promise<boolean>): Promise<void> {
  if (!(await until(check, { timeoutMs: SOON_MS })))
    throw new Error(`not reached within ${SOON_MS} ms: ${what}`)
}

/** Two users book twice. */
export const bookTwice: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      await testbed.createEvent(1, 10)
      for (const userId of ['ann', 'bob', 'ann', 'bob'])
        await sendCommand(testbed, testbed.endpoints[0], commandOf('book', 1, userId))
    }),
  )

/** Eight users book three tickets. */
export const bookMoreThanAll: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      await testbed.createEvent(1, 3)
      for (let user = 0; user < 8; user++)
        await sendCommand(testbed, testbed.endpoints[0], commandOf('book', 1, `user-${user}`))
    }),
  )

/** Two users book, a third waits, and the first one cancels. */
export const cancelOne: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      await testbed.createEvent(1, 2)
      for (const userId of ['ann', 'bob', 'cid'])
        await sendCommand(testbed, testbed.endpoints[0], commandOf('book', 1, userId))
      await sendCommand(testbed, testbed.endpoints[0], commandOf('cancel', 1, 'ann'))
    }),
  )

/** A user books and cancels, and the worker dies right after the COMMIT of the cancellation. */
export const cancelAndDie: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      await testbed.createEvent(1, 2)
      for (const type of ['book', 'cancel'] as const)
        await sendCommand(testbed, testbed.endpoints[0], commandOf(type, 1, 'mortal'))
    }),
  )

/**
 * Two users hold the only two tickets, and two others wait. One hold is extended. When the other
 * one lapses, its ticket is offered to the first who waits, and to nobody else.
 */
export const lapseOne: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      const [endpoint] = testbed.endpoints
      const send = (command: CommandInput) => sendCommand(testbed, endpoint, command)
      await testbed.createEvent(1, 2, { holdSeconds: 5, maxHoldSeconds: 600 })
      for (const userId of ['ann', 'bob', 'cid', 'dan']) await send(commandOf('book', 1, userId))
      const ofStaff = { eventId: 1, userId: 'bob', caller: STAFF }
      await send({ type: 'extend', ...ofStaff, seconds: 600 })
      await expectSoon('somebody has an offer', async () => {
        const text = `SELECT FROM bookings WHERE promoted`
        return (await queryOnce(testbed.fleet.postgres.url, text)).length > 0
      })
      await send(commandOf('confirm', 1, 'bob'))
    }),
  )

/**
 * Users book one after another and get 202, while no worker reaches Redis. Then the API processes
 * are killed, and Redis is killed and loses its files.
 */
export const loseAccepted: Proof = async (mutations) =>
  textsOf(
    await onTestbed(mutations, async (testbed) => {
      const { fleet, endpoints } = testbed
      await testbed.createEvent(1, 3)
      for (const worker of fleet.workers) worker.redisLink.sever()
      for (let user = 0; user < 8; user++) {
        const endpoint = endpoints[user % endpoints.length] ?? endpoints[0]
        const { answer } = await sendCommand(
          testbed,
          endpoint,
          commandOf('book', 1, `user-${user}`),
          { prefer: 'respond-async' },
        )
        if (answer?.status !== 202) throw new Error(`not accepted: ${JSON.stringify(answer)}`)
      }
      await Promise.all(fleet.apis.map((api) => api.kill()))
      await loseRedis(fleet, 'deleted-files', 0)
      for (const worker of fleet.workers) worker.redisLink.restore()
    }),
  )

/** The random clients of the rig, while a reply to COMMIT is lost every 150 ms. */
export const loseCommitReplies: Proof = async (mutations) => {
  const plan: PlannedFault[] = []
  for (let atMs = 150; atMs < RIG_SECONDS * 1000; atMs += 150)
    plan.push({
      atMs,
      fault: { kind: 'moment', moment: 'commit', intervention: { kind: 'cut-after' } },
    })
  return runRandomClients(mutations, plan)
}

/** The random clients of the rig, without faults. */
export const randomClients: Proof = (mutations) => runRandomClients(mutations, [])

async function runRandomClients(mutations: Mutation[], plan: PlannedFault[]): Promise<string[]> {
  const settings = { seed: SEED, seconds: RIG_SECONDS, notifiers: 0 }
  return textsOf((await runRig({ ...settings, mutations, plan })).findings)
}

/** A worker freezes between its row lock and COMMIT. */
export const frozenWorker: Proof = async (mutations) => {
  const { missed, findings } = await freezeInTransaction(
    {
      scale: 0.1,
      log: () => {},
    },
    mutations,
  )
  return [...missed, ...textsOf(findings)]
}
