import { countEvents, type Readiness, type RecoveryRedis, watchReadiness } from '@ticket-line/line'
import { chunksOf } from '@ticket-line/shared'
import type { SimProcess } from './clock.ts'
import type { Connection } from './connection.ts'
import { silent, type World } from './world.ts'

/** Jobs that arrive at the server together. A page of a recovery may take several of these. */
const JOBS_AT_ONCE = 20

/** Makes a simulated process take part in recoveries. */
export function joinRecovery(
  world: World,
  process: SimProcess,
  redis: RecoveryRedis,
  readiness: Readiness,
): void {
  watchReadiness({
    redis,
    readiness,
    isOurs: () => true,
    readRecordedGeneration: world.generationReaderOf(process),
    alone: world.aloneOf(process),
    onRescued: () => undefined,
    log: silent,
  })
}

/** What a recovery does in the simulated Redis. */
export function createSimulatedRecovery(
  { data, streams, without }: World,
  connection: Connection,
): RecoveryRedis {
  const step = <T>(run: () => T): Promise<T> => connection.call(run, 'recovery')

  return {
    isConnected: connection.isReady,
    onDisconnected: connection.onDisconnected,

    async readPresentGeneration() {
      const [generation, identity] = await Promise.all([
        connection.call(data.generation),
        connection.call(data.runId),
      ])
      return { identity, generation }
    },

    begin: (token) => step(() => data.beginRecovery(token)),

    async find(jobs) {
      if (without.recovery) return { missing: [], relisted: [] }
      const states = await Promise.all(
        [...chunksOf(jobs, JOBS_AT_ONCE)].map((portion) =>
          connection.call(() => portion.map(({ lineName, jobId }) => data.relist(lineName, jobId))),
        ),
      )
      const found = states.flat()
      return {
        missing: jobs.filter((_, i) => found[i] === 'missing'),
        relisted: jobs.filter((_, i) => found[i] === 'relisted'),
      }
    },

    async add(jobs) {
      await Promise.all(
        [...chunksOf(jobs, JOBS_AT_ONCE)].map((portion) =>
          step(() => {
            for (const { lineName, jobId, payload } of portion) {
              data.enter(lineName, countEvents(payload.commands), Number.POSITIVE_INFINITY)
              data.add(lineName, jobId, JSON.stringify(payload))
            }
          }),
        ),
      )
    },

    wake: (lineNames) => connection.call(() => [...lineNames].forEach(streams.wakeUp)),

    async putFirst(jobIds) {
      await Promise.all(
        [...jobIds].map(([lineName, ids]) =>
          step(() => {
            if (!without.acceptedOrder) data.putFirst(lineName, ids)
            streams.wakeUp(lineName)
          }),
        ),
      )
    },

    end: (token, generation) => step(() => data.endRecovery(token, generation)),
  }
}
