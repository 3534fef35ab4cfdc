import type { RedisQueueBackend } from 'bullmq'
import type { Connection } from './connection.ts'
import type { FetchedJob, RedisData } from './redis-data.ts'

/** The part of BullMQ's backend that the worker uses, on the simulated Redis. */
export function createBackend(data: RedisData, connection: Connection): RedisQueueBackend {
  const forQueue = (lineName: string): object => ({
    qualifiedName: `sim:${lineName}`,
    keys: {},
    toKey: (type: string) => `sim:${lineName}:${type}`,
    on: () => undefined,
    waitUntilReady: () => Promise.resolve(),
    setQueueMeta: () => connection.call(() => data.setConcurrency(lineName)),
    async moveToActive(token: string) {
      return replyOf(await connection.call(() => data.fetch(lineName, token), 'fetch'))
    },
    async moveToCompleted(
      job: { id: string },
      _value: unknown,
      _remove: unknown,
      token: string,
      next: boolean,
    ) {
      const complete = (): ReturnType<RedisData['complete']> =>
        data.complete(lineName, job.id, token, next)
      const result = await connection.call(complete, 'completion')
      if (typeof result === 'number')
        throw new Error(`Missing lock for job ${job.id}. moveToFinished (${result})`)
      return { result: replyOf(result), finishedOn: 0 }
    },
    async moveJobFromActiveToWait(jobId: string, token: string) {
      const result = await connection.call(() => data.putBack(lineName, jobId, token))
      if (result < 0) throw new Error(`Missing lock for job ${jobId}. moveJobFromActiveToWait`)
      return result
    },
    extendLock: (jobId: string, token: string, durationMs: number) =>
      connection.call(() => data.extendLock(lineName, jobId, token, durationMs)),
    moveStalledJobsToWait: () => connection.call(() => data.recoverStalled(lineName)),
  })
  return { forQueue } as unknown as RedisQueueBackend
}

/** A fetched job in the form in which BullMQ's script returns it. */
function replyOf(
  fetched: FetchedJob | undefined,
): [object | null, string | undefined, number, number] {
  if (fetched === undefined) return [null, undefined, 0, 0]
  const { jobId, payload, starts } = fetched
  const json = {
    id: jobId,
    name: 'commands',
    data: payload,
    opts: {},
    attemptsStarted: starts,
    timestamp: 0,
    stacktrace: '[]',
  }
  return [json, jobId, 0, 0]
}
