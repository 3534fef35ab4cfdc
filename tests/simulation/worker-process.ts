import { createApply, jobResultOf } from '@ticket-line/booking-worker/booking'
import { startSettleClock } from '@ticket-line/booking-worker/settle-clock'
import { addJob, createReadiness, type Readiness } from '@ticket-line/line'
import {
  createLine,
  createLockRenewer,
  createScheduler,
  createSettles,
  createSweeper,
  divideGrace,
  keepAcceptedJobs,
  type LineDeps,
  type SettleStore,
  type SweeperDeps,
} from '@ticket-line/line/server'
import type { JobPayload, JobReply } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { createBackend } from './backend.ts'
import { createProcess, type SimProcess } from './clock.ts'
import type { Connection } from './connection.ts'
import { createQueues } from './line-queues.ts'
import { createSimulatedRecovery, joinRecovery } from './recovery-redis.ts'
import { LOCK_MS, STALLED_INTERVAL_MS, silent, type World } from './world.ts'

export interface WorkerProcess {
  process: SimProcess
  /** SIGTERM: the process finishes its jobs, hands its lines over, and ends. */
  stop(): void
}

const GRACE = divideGrace(2000)

/** A worker process: the code of the product, on the simulated Redis and PostgreSQL. */
export function startWorker(world: World, name: string): WorkerProcess {
  const { clock, data, streams } = world
  const process = createProcess(name, true)
  return clock.as(process, () => {
    const connection = world.redis.connect(process, { patient: true })
    const ending = { stopping: false, givenUp: false }
    const steady = { wallMs: clock.now, steadyMs: clock.now }
    const readiness = createReadiness()
    const recovery = createSimulatedRecovery(world, connection)
    const settles = createSettles({
      store: createSettleStore(world, connection),
      layout: world.layout,
      newJobId: world.newJobId,
      log: silent,
      clock: steady,
    })
    const settleClock = world.without.settleClock
      ? undefined
      : startSettleClock({
          readDue: world.dueReaderOf(process),
          addSettles: async (eventIds) => (readiness.isReady() ? settles.add(eventIds) : 0),
          log: silent,
        })
    const deps = {
      ...lineDeps(world, process, connection, { readiness, ending }),
      onJobEnd: settles.onJobEnd,
    }
    const scheduler = createScheduler({
      createLine: (lineName) =>
        createLine(deps, { lineName, prefix: 'sim', base: `sim:${lineName}:` }),
      measure: (lineNames) => connection.call(() => lineNames.map(data.measure)),
      servedAtOnce: 3,
      maxOpenLines: 100,
      idleMs: 60_000,
      monitorEveryMs: STALLED_INTERVAL_MS,
      handOver: (lineNames) => connection.call(() => lineNames.forEach(streams.wakeUp)),
      onStalled: () => undefined,
      log: silent,
      clock: steady,
    })
    const registry = {
      allWithWork: () =>
        world.without.sweep ? Promise.resolve([]) : connection.call(data.withWork),
      forgetEmpty: () => Promise.resolve(0),
      registerByKeys: () => Promise.resolve(0),
    } as unknown as SweeperDeps['registry']
    const sweeper = createSweeper({
      scheduler,
      registry,
      sweepEveryMs: 10_000,
      scanEveryMs: 60_000,
      forgetAfterMs: 60_000,
      log: silent,
    })
    const keeper = keepAcceptedJobs({
      store: world.acceptedJobsOf(process),
      redis: world.without.lostJobs
        ? { ...recovery, find: () => Promise.resolve({ missing: [], relisted: [] }) }
        : recovery,
      readiness,
      onRescued: () => undefined,
      log: silent,
    })
    readiness.onChange((isReady) => {
      if (isReady) sweeper.sweepNow()
    })
    joinRecovery(world, process, recovery, readiness)
    streams.onWakeUps(process, scheduler.wake)

    return {
      process,
      stop() {
        ending.stopping = true
        clock.as(process, () => {
          setTimeout(() => Object.assign(ending, { givenUp: true }), GRACE.giveUpAfterMs)
          sweeper.stop()
          keeper.stop()
          void settleClock?.stop()
          void scheduler.close(GRACE).then(() => world.kill(process))
        })
      },
    }
  })
}

function lineDeps(
  world: World,
  process: SimProcess,
  connection: Connection,
  { readiness, ending }: { readiness: Readiness; ending: { stopping: boolean; givenUp: boolean } },
): LineDeps {
  const { clock, data, streams } = world
  const steady = { wallMs: clock.now, steadyMs: clock.now }
  const applyDeps = {
    store: world.storeOf(process),
    onRetry: () => undefined,
    givenUp: () => ending.givenUp,
    clock: steady,
  }
  const apply = createApply(applyDeps)
  return {
    redis: {} as Redis,
    root: createBackend(data, connection),
    processName: process.name,
    locks: createLockRenewer(LOCK_MS, silent),
    shortenLocks: () => Promise.resolve(),
    log: silent,
    onJob: (job) => jobResultOf(apply(job)),
    sendReply(lineName: string, payload: JobPayload, reply: JobReply | undefined) {
      const counts = new Map<number, number>()
      for (const { eventId } of payload.commands)
        counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
      const answered = connection.call(() => {
        data.leave(lineName, counts)
        if (reply !== undefined && payload.replyTo !== undefined)
          streams.reply(payload.replyTo, reply)
      })
      answered.catch(() => undefined)
    },
    readiness,
    readShardGeneration: () =>
      world.without.fetchedGeneration
        ? Promise.resolve(readiness.generation() ?? null)
        : connection.call(() => data.generation() ?? null),
    isStopping: () => ending.stopping,
    clock: steady,
  }
}

/** What settles do in the simulated Redis. */
function createSettleStore(world: World, connection: Connection): SettleStore {
  const { data, streams } = world
  const queues = createQueues(world, connection)
  const wakeUp = (lineName: string) =>
    void connection.call(() => streams.wakeUp(lineName)).catch(() => undefined)
  return {
    mark: (...settles) => connection.call(() => data.markSettles(...settles), 'mark'),
    async end(...settle) {
      await connection.call(() => data.endSettle(...settle))
      return null
    },
    add: (job) => addJob(queues, job, wakeUp),
  }
}
