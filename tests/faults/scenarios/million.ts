import { every } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { run } from '../../../tools/dev-stack/commands.mjs'
import { startBulkLoad } from '../load/bulk-load.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import type { Scenario } from './scenario.ts'

const COMMANDS = 1_000_000
const EVENTS = 2
const USERS = 5000
const GROWTH_ALLOWED = 0.05
const SAMPLE_EVERY_MS = 1000

interface Sample {
  sent: number
  /** Bytes by process name. `redis` is `used_memory`, the others are resident memory. */
  memory: Map<string, number>
}

export const million: Scenario = {
  name: 'million',
  proves:
    'During 1,000,000 commands, the memory of every process and of Redis grows by at most 5 % after the first 100,000.',
  async run({ scale, log }) {
    const count = Math.round(COMMANDS * scale)
    const testbed = await openTestbed({ persistence: 'everysec', keepJournal: false })
    const redis = new Redis(testbed.fleet.redis.url)
    try {
      for (let eventId = 1; eventId <= EVENTS; eventId++) await testbed.createEvent(eventId, 60)
      const startedAt = performance.now()
      const load = startBulkLoad({
        jwtSecret: testbed.fleet.jwtSecret,
        endpoints: testbed.endpoints,
        count,
        clients: 192,
        perSecond: Number.POSITIVE_INFINITY,
        firstEvent: 1,
        events: EVENTS,
        users: USERS,
        cancels: true,
        keepCalls: false,
      })
      const samples: Sample[] = []
      const sampler = every(
        SAMPLE_EVERY_MS,
        async () => {
          const sent = load.sent()
          samples.push({ sent, memory: await measure(testbed, redis) })
          if (samples.length % 20 === 0) log(`${sent} sent, ${describe(samples.at(-1) as Sample)}`)
        },
        { onError: (error) => log(`no sample: ${error}`) },
      )
      await load.done
      await sampler.stop()
      const seconds = (performance.now() - startedAt) / 1000
      const figures: Record<string, number | string> = {
        commands: load.sent(),
        perSecond: Math.round(load.sent() / seconds),
        answers: [...load.statuses].map(([status, times]) => `${times} × ${status}`).join(' '),
      }
      const missed: string[] = []
      for (const name of samples[0]?.memory.keys() ?? []) {
        const early = mean(samples, name, count / 10, count / 5)
        const late = mean(samples, name, count * 0.9, count)
        const growth = late / early - 1
        figures[name] =
          `${mb(early)} MB, in the end ${mb(late)} MB (${(growth * 100).toFixed(1)} %)`
        if (growth > GROWTH_ALLOWED) missed.push(`${name} grew by ${(growth * 100).toFixed(1)} %`)
      }
      return { figures, missed, findings: [] }
    } finally {
      redis.disconnect()
      await testbed.close()
    }
  },
}

async function measure({ fleet }: Testbed, redis: Redis): Promise<Map<string, number>> {
  const memory = new Map<string, number>()
  for (const slot of fleet.slots) {
    const kilobytes = await run('ps', ['-o', 'rss=', '-p', String(slot.process().pid)]).catch(
      () => '0',
    )
    memory.set(slot.name, Number(kilobytes) * 1024)
  }
  const info = await redis.info('memory')
  memory.set('redis', Number(/used_memory:(\d+)/.exec(info)?.[1]))
  return memory
}

function mean(samples: Sample[], name: string, from: number, to: number): number {
  const values = samples
    .filter(({ sent }) => sent >= from && sent <= to)
    .map(({ memory }) => memory.get(name) ?? 0)
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

const mb = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)

function describe({ memory }: Sample): string {
  return [...memory].map(([name, bytes]) => `${name} ${mb(bytes)} MB`).join(', ')
}
