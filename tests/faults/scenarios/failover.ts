import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from '../../../tools/dev-stack/redis.mjs'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { chosenRedis, productOf } from '../../stack/redis/deployment.ts'
import { isAcknowledged } from '../check/answers.ts'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 3
const SERVED_WITHIN_MS = 5000

/**
 * A planned failover as operators do it: writes pause until the replica has caught up, the replica
 * is promoted, the address moves to it, and the old master becomes its replica. Connections to the
 * old master stay open, so only its READONLY errors show that it was demoted.
 */
export const failover: Scenario = {
  name: 'failover',
  proves:
    'After a planned failover of Redis that leaves connections to the demoted master open, the new master serves every event within 5 s, and nothing is lost.',
  async run({ log }) {
    const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-replica-'))
    const testbed = await openTestbed({ env: { RESULT_WAIT_MS: '500' } })
    const { password } = new URL(testbed.fleet.redis.url)
    const replica = await startRedis({
      folder,
      // That of the master, so that clients can use the replica after the failover.
      password,
      product: productOf(chosenRedis()),
      settings: [
        'auto-aof-rewrite-percentage 0',
        `masterauth ${password}`,
        'repl-diskless-sync-delay 0',
      ],
    })
    const oldMaster = new Redis(testbed.fleet.redis.url)
    const newMaster = new Redis(replica.url)
    for (const redis of [oldMaster, newMaster]) redis.on('error', () => undefined)
    try {
      const address = new URL(testbed.fleet.redis.url)
      await newMaster.replicaof(address.hostname, Number(address.port))
      const inStep = async (): Promise<boolean> =>
        (await newMaster.info('replication')).includes('link_status:up')
      if (!(await until(inStep, { timeoutMs: 20_000 }))) throw new Error('the replica did not sync')
      // The append-only file of the replica starts with the sync, so events are created after it.
      const loads = await loadEvents(testbed, EVENTS)
      await sleep(2000)

      await oldMaster.call('CLIENT', 'PAUSE', '20000', 'WRITE')
      const caughtUp = async (): Promise<boolean> =>
        offsetOf(await oldMaster.info('replication'), 'master_repl_offset') ===
        offsetOf(await newMaster.info('replication'), 'slave_repl_offset')
      if (!(await until(caughtUp, { timeoutMs: 5000 })))
        throw new Error('the replica did not catch up')
      await newMaster.replicaof('NO', 'ONE')
      const target = { host: '127.0.0.1', port: Number(new URL(replica.url).port) }
      for (const slot of testbed.fleet.slots) slot.redisLink.retarget(target)
      await oldMaster.config('SET', 'masterauth', password)
      await oldMaster.replicaof('127.0.0.1', target.port)
      await oldMaster.call('CLIENT', 'UNPAUSE')
      const movedAt = performance.now()
      const servedMs = await loads.allServed(movedAt)
      log(`all events served ${Math.round(servedMs)} ms after the failover`)
      await sleep(1000)
      await loads.stop()
      const { commands } = testbed.history
      const otherwise = commands.filter(
        ({ answer }) => answer?.status !== 503 && !isAcknowledged(answer),
      ).length
      return {
        figures: { requests: commands.length, allServedAfterMs: Math.round(servedMs) },
        missed: [
          ...atMost(
            'time until every event is served again, ms',
            Math.round(servedMs),
            SERVED_WITHIN_MS,
          ),
          ...atMost('answers other than an outcome, 202 or 503', otherwise, 0),
        ],
        findings: check(
          await testbed.collectEvidence({ redisUrls: [replica.url], redisFolders: [folder] }),
        ),
      }
    } finally {
      oldMaster.disconnect()
      newMaster.disconnect()
      await testbed.close()
      await replica.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function offsetOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
}
