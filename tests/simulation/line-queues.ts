import type { DepthCounter, EventCounts, LineQueues } from '@ticket-line/line'
import type { JobPayload } from '@ticket-line/shared'
import type { SimProcess } from './clock.ts'
import type { Connection } from './connection.ts'
import type { World } from './world.ts'

/** The queues of all lines, as far as jobs are added to them, on the simulated Redis. */
export function createQueues({ data }: World, connection: Connection): LineQueues {
  const queueOf = (lineName: string): object => ({
    add: (_name: string, payload: JobPayload, { jobId }: { jobId: string }) => {
      const json = JSON.stringify(payload)
      return connection.call(() => data.add(lineName, jobId, json), 'add')
    },
    getJob: (jobId: string) => connection.call(() => data.getJob(lineName, jobId)),
  })
  return { queueOf } as unknown as LineQueues
}

/** The depth counter of an API process, on the simulated Redis. */
export function createDepth(
  { clock, data, unreadyCounts, without }: World,
  api: SimProcess,
  connection: Connection,
): DepthCounter {
  return {
    async admit(lineName, counts, limit = Number.POSITIVE_INFINITY, _, generation) {
      const { atMs, lacksJobs, isReady, admitted } = await connection.call(
        () => ({
          atMs: clock.exactNow(),
          lacksJobs: !data.isReady(),
          isReady: without.countedGeneration === true || data.generation() === generation,
          admitted: data.enter(lineName, new Map(counts), limit),
        }),
        'count',
      )
      if (lacksJobs) unreadyCounts.push({ api, atMs, answeredAtMs: clock.exactNow() })
      const events = [...admitted].map(([eventId, admitted]) => ({ eventId, admitted, depth: 0 }))
      return { isReady, events, waitMs: undefined }
    },
    takeBack(lineName: string, counts: EventCounts) {
      connection.call(() => data.leave(lineName, new Map(counts))).catch(() => undefined)
    },
    forget: () => Promise.resolve(false),
  }
}
