import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import type { Finding } from '../check/finding.ts'
import type { Mutation } from '../fleet/mutation.ts'
import type { PlannedFault } from '../injection/plan.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { runRig } from '../rig.ts'
import { freezeInTransaction } from '../scenarios/frozen-transaction.ts'
import { openTestbed, type Testbed } from '../testbed.ts'

/** Runs a mutated system. @returns what the rig found; empty if every promise was kept */
export type Proof = (mutations: Mutation[]) => Promise<string[]>

const SEED = 11
const RIG_SECONDS = 15

const textsOf = (findings: Finding[]): string[] =>
  findings.map(({ promise, text }) => `${promise}: ${text}`)

async function onTestbed(
  mutations: Mutation[],
  play: (testbed: Testbed) => Promise<void>,
): Promise<Finding[]> {
  const testbed = await openTestbed({ mutations })
  try {
    await play(testbed)
    return check(await testbed.collectEvidence())
  } finally {
    await testbed.close()
  }
}

/** Many clients on one event. Findings about the order are ignored, as several jobs run at once. */
export const manyClientsOnOneEvent: Proof = async (mutations) => {
  const findings = await onTestbed(mutations, async (testbed) => {
    await testbed.createEvent(1, 1000)
    const load = startSteadyLoad(testbed, { eventId: 1, clients: 48, pauseMs: 0, keys: false })
    await sleep(8000)
    await load.stop()
  })
  return textsOf(findings.filter((finding) => finding.promise !== 'reordered'))
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

/** The random clients of the rig, while a reply to COMMIT is lost every 150 ms. */
export const loseCommitReplies: Proof = async (mutations) => {
  const plan: PlannedFault[] = []
  for (let atMs = 150; atMs < RIG_SECONDS * 1000; atMs += 150)
    plan.push({
      atMs,
      fault: { kind: 'moment', moment: 'commit', intervention: { kind: 'cut-after' } },
    })
  return textsOf((await runRig({ seed: SEED, seconds: RIG_SECONDS, mutations, plan })).findings)
}

/** The random clients of the rig, without faults. */
export const randomClients: Proof = async (mutations) =>
  textsOf((await runRig({ seed: SEED, seconds: RIG_SECONDS, mutations, plan: [] })).findings)

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
