import { Redis } from 'ioredis'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Evidence } from './check/check.ts'
import { readJournal } from './check/journal.ts'
import { readRows } from './check/rows.ts'
import { type Fleet, type FleetOptions, startFleet } from './fleet/fleet.ts'
import { createHistory, type History } from './history.ts'
import { lastLook } from './load/final-reads.ts'
import { type Caller, createCaller } from './load/http-client.ts'
import { type Entry, STAFF } from './load/send-command.ts'

/** A running system with clients' means and a history: what every run and scenario plays on. */
export interface Stage {
  fleet: Fleet
  caller: Caller
  history: History
  /** The API processes, as clients know them. */
  entries: [Entry, ...Entry[]]
  createEvent(eventId: number, totalTickets: number): Promise<void>
  /**
   * Waits until every process is ready and no line holds a job, asks for everything that was promised, and collects.
   * `moved` names the Redis that serves now if it is another one than at the start.
   */
  conclude(moved?: { redisUrl: string; redisFolder: string }): Promise<Evidence>
  close(): Promise<void>
}

/** How long a mended system may take to decide everything that it accepted. */
const SETTLE_WITHIN_MS = 60_000

export async function openStage(options: FleetOptions): Promise<Stage> {
  const fleet = await startFleet(options)
  const caller = createCaller(fleet.jwtSecret)
  const history = createHistory()
  const entries = fleet.apis.map(({ name, url }) => ({ name, url })) as [Entry, ...Entry[]]
  const close = async (): Promise<void> => {
    await caller.close()
    await fleet.close()
  }
  try {
    await fleet.ready()
  } catch (error) {
    await close()
    throw error
  }
  return {
    fleet,
    caller,
    history,
    entries,
    async createEvent(eventId, totalTickets) {
      const { answer } = await caller.ask(entries[0].url, {
        method: 'POST',
        path: '/initialize',
        token: await caller.token(STAFF, 'organizer'),
        body: { eventId, totalTickets },
        silentAfterMs: 10_000,
      })
      if (answer?.status !== 201)
        throw new Error(`event ${eventId} was not made: ${JSON.stringify(answer)}`)
      history.events.push({ eventId, totalTickets })
    },
    async conclude(
      { redisUrl, redisFolder } = { redisUrl: fleet.redis.url, redisFolder: fleet.redisFolder },
    ) {
      await settle(fleet, redisUrl)
      await lastLook(caller, entries, history)
      return {
        history,
        journal: await readJournal(redisFolder),
        rows: await readRows(fleet.postgres.url),
      }
    },
    close,
  }
}

/** A line that never empties is for the checker to find. */
async function settle(fleet: Fleet, redisUrl: string): Promise<void> {
  for (const slot of fleet.slots) {
    slot.redisLink.restore()
    slot.postgresLink.restore()
    slot.stepClock(0)
  }
  await fleet.ready(SETTLE_WITHIN_MS)
  const redis = new Redis(redisUrl)
  const isEmpty = async (): Promise<boolean> => {
    for (const pattern of ['*:wait', '*:active']) {
      for (const key of await redis.keys(pattern)) if ((await redis.llen(key)) > 0) return false
    }
    return true
  }
  try {
    await until(isEmpty, { timeoutMs: SETTLE_WITHIN_MS, everyMs: 200 })
  } finally {
    redis.disconnect()
  }
}
