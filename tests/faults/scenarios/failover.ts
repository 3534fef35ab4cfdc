import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from '../../../tools/dev-stack/redis.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAck } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 3
const SERVED_WITHIN_MS = 5000

/**
 * A planned failover as operators do it: the replica catches up while writes pause, is promoted, the
 * address moves to it, and the old master becomes its replica. Nothing closes the connections that
 * lead to the old master, so only its READONLY errors tell that it was demoted.
 */
export const failover: Scenario = {
  name: 'failover',
  shows:
    'a planned failover of Redis leaves connections open to the demoted master: every event is served by the new one within 5 s, nothing is lost',
  async run({ patches = [], say }) {
    const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-replica-'))
    const stage = await openStage({ patches, env: { RESULT_WAIT_MS: '500' } })
    const { password } = new URL(stage.fleet.redis.url)
    // Clients find the new master with the password they know.
    writeFileSync(path.join(folder, 'password'), password, { mode: 0o600 })
    const replica = await startRedis({
      folder,
      settings: [
        'auto-aof-rewrite-percentage 0',
        `masterauth ${password}`,
        'repl-diskless-sync-delay 0',
      ],
    })
    const oldMaster = new Redis(stage.fleet.redis.url)
    const newMaster = new Redis(replica.url)
    for (const redis of [oldMaster, newMaster]) redis.on('error', () => undefined)
    try {
      const address = new URL(stage.fleet.redis.url)
      await newMaster.replicaof(address.hostname, Number(address.port))
      const inStep = async (): Promise<boolean> =>
        (await newMaster.info('replication')).includes('link_status:up')
      if (!(await until(inStep, { timeoutMs: 20_000 }))) throw new Error('the replica did not sync')
      // Its history begins with the sync: events and their lines come after it.
      const loads = await loadEvents(stage, EVENTS)
      await sleep(2000)

      await oldMaster.call('CLIENT', 'PAUSE', '20000', 'WRITE')
      const caughtUp = async (): Promise<boolean> =>
        offsetOf(await oldMaster.info('replication'), 'master_repl_offset') ===
        offsetOf(await newMaster.info('replication'), 'slave_repl_offset')
      if (!(await until(caughtUp, { timeoutMs: 5000 })))
        throw new Error('the replica did not catch up')
      await newMaster.replicaof('NO', 'ONE')
      const target = { host: '127.0.0.1', port: Number(new URL(replica.url).port) }
      for (const slot of stage.fleet.slots) slot.redisLink.retarget(target)
      await oldMaster.config('SET', 'masterauth', password)
      await oldMaster.replicaof('127.0.0.1', target.port)
      await oldMaster.call('CLIENT', 'UNPAUSE')
      const movedAt = performance.now()
      const servedMs = await loads.allServed(movedAt)
      say(`all events served ${Math.round(servedMs)} ms after the failover`)
      await sleep(1000)
      await loads.stop()
      const { commands } = stage.history
      const otherwise = commands.filter(
        ({ answer }) => answer?.status !== 503 && !isAck(answer),
      ).length
      return {
        figures: { requests: commands.length, allServedAfterMs: Math.round(servedMs) },
        missed: [
          ...atMost(
            'time until every event is served again, ms',
            Math.round(servedMs),
            SERVED_WITHIN_MS,
          ),
          ...atMost('answers that were neither 503 nor a promise', otherwise, 0),
        ],
        findings: check(await stage.conclude({ redisUrl: replica.url, redisFolder: folder })),
      }
    } finally {
      oldMaster.disconnect()
      newMaster.disconnect()
      await stage.close()
      await replica.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function offsetOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
}
