import { EventEmitter } from 'node:events'
import type { Pool } from '@ticket-line/db'
import type { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { until } from '../../../../tools/dev-stack/wait.mjs'
import { watchAvailability } from './availability.js'

/** A Redis whose replies the test decides, and a PostgreSQL that works. */
function given() {
  let askRedis = async (): Promise<unknown> => null
  let probes = 0
  const redis = Object.assign(new EventEmitter(), {
    status: 'ready',
    set() {
      probes += 1
      return askRedis()
    },
  })
  const client = { query: async () => ({ rows: [{ readOnly: 'off' }] }), release: () => undefined }
  const availability = watchAvailability({
    redis: { connections: [{ redis: redis as unknown as Redis, prefixes: ['test'] }] },
    pool: { connect: async () => client } as unknown as Pool,
    probeMs: 10,
    probeTimeoutMs: 1000,
    onChange: () => undefined,
  })
  onTestFinished(() => availability.stop())
  return {
    availability,
    answerWith(answer: () => Promise<unknown>) {
      askRedis = answer
    },
    /** Waits for a probe that began after this call. */
    async probed() {
      const before = probes
      await until(() => probes > before + 1, { timeoutMs: 10_000, everyMs: 5 })
    },
  }
}

const fails = (message: string) => (): Promise<never> => Promise.reject(new Error(message))

/** Moves the clock of this process on, as if its event loop had been blocked. */
function eventLoop(): { block: (ms: number) => void } {
  const now = performance.now.bind(performance)
  let passedMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now() + passedMs)
  onTestFinished(() => void vi.restoreAllMocks())
  return {
    block(ms) {
      passedMs += ms
    },
  }
}

describe('a server that replies', () => {
  it('is available', async () => {
    const { availability, probed } = given()
    await probed()

    expect([availability.redis(), availability.postgres()]).toEqual([true, true])
  })

  it('is unavailable if it refuses writes', async () => {
    const { availability, answerWith, probed } = given()
    await probed()

    answerWith(fails("READONLY You can't write against a read only replica."))
    await probed()

    expect(availability.redis()).toBe(false)
  })
})

describe('a server that does not reply in time', () => {
  it('is unavailable', async () => {
    const { availability, answerWith, probed } = given()
    await probed()

    answerWith(fails('Command timed out'))
    await probed()

    expect(availability.redis()).toBe(false)
  })

  it('stays available if the event loop of this process was blocked', async () => {
    const { availability, answerWith, probed } = given()
    const loop = eventLoop()
    await probed()

    answerWith(async () => {
      loop.block(300)
      throw new Error('Command timed out')
    })
    await probed()

    expect(availability.redis()).toBe(true)
  })

  it('is unavailable after five seconds without a reply, even if the event loop was blocked', async () => {
    const { availability, answerWith, probed } = given()
    const loop = eventLoop()
    await probed()

    answerWith(async () => {
      loop.block(3000)
      throw new Error('Command timed out')
    })
    await probed()
    await probed()

    expect(availability.redis()).toBe(false)
  })
})
