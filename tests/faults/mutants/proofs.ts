import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import type { Finding } from '../check/finding.ts'
import type { Patch } from '../fleet/build-copy.ts'
import type { PlannedFault } from '../injection/plan.ts'
import { sendCommand, wishOf } from '../load/send-command.ts'
import { startSteady } from '../load/steady-load.ts'
import { runRig } from '../rig.ts'
import { frozenTransaction } from '../scenarios/frozen-transaction.ts'
import { openStage, type Stage } from '../testbed.ts'

/** Runs a build and tells what is wrong with it; empty when every promise was kept. */
export type Proof = (patches: Patch[]) => Promise<string[]>

const SEED = 11
const RIG_SECONDS = 15

const textsOf = (findings: Finding[]): string[] =>
  findings.map(({ promise, text }) => `${promise}: ${text}`)

async function onStage(
  patches: Patch[],
  play: (stage: Stage) => Promise<void>,
): Promise<Finding[]> {
  const stage = await openStage({ patches })
  try {
    await play(stage)
    return check(await stage.conclude())
  } finally {
    await stage.close()
  }
}

/** Many clients on one event: with several jobs of its line at once the order is gone, and must be all that is gone. */
export const atOnceOnOneEvent: Proof = async (patches) => {
  const findings = await onStage(patches, async (stage) => {
    await stage.createEvent(1, 1000)
    const load = startSteady(stage, { eventId: 1, clients: 48, pauseMs: 0, keys: false })
    await sleep(8000)
    await load.stop()
  })
  return textsOf(findings.filter((finding) => finding.promise !== 'reordered'))
}

/** Everybody books twice. */
export const bookTwice: Proof = async (patches) =>
  textsOf(
    await onStage(patches, async (stage) => {
      await stage.createEvent(1, 10)
      for (const userId of ['ann', 'bob', 'ann', 'bob'])
        await sendCommand(stage, stage.entries[0], wishOf('book', 1, userId))
    }),
  )

/** Eight want three tickets. */
export const bookOutAndAgain: Proof = async (patches) =>
  textsOf(
    await onStage(patches, async (stage) => {
      await stage.createEvent(1, 3)
      for (let user = 0; user < 8; user++)
        await sendCommand(stage, stage.entries[0], wishOf('book', 1, `user-${user}`))
    }),
  )

/** The rig's crowd, and a reply to COMMIT lost seven times a second. */
export const afterLostCommits: Proof = async (patches) => {
  const plan: PlannedFault[] = []
  for (let atMs = 150; atMs < RIG_SECONDS * 1000; atMs += 150)
    plan.push({
      atMs,
      fault: { kind: 'moment', moment: 'commit', intervention: { kind: 'cut-after' } },
    })
  return textsOf((await runRig({ seed: SEED, seconds: RIG_SECONDS, patches, plan })).findings)
}

/** The rig's crowd, and nothing breaks. */
export const crowdAlone: Proof = async (patches) =>
  textsOf((await runRig({ seed: SEED, seconds: RIG_SECONDS, patches, plan: [] })).findings)

/** A worker freezes between lock and COMMIT. */
export const frozenWorker: Proof = async (patches) => {
  const { missed, findings } = await frozenTransaction.run({
    seed: SEED,
    scale: 0.1,
    patches,
    say: () => {},
  })
  return [...missed, ...textsOf(findings)]
}
