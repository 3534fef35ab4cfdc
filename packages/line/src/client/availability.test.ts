import { EventEmitter } from 'node:events'
import type { Pool } from '@ticket-line/db'
import type { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { until } from '../../../../tools/dev-stack/wait.mjs'
import { watchAvailability } from './availability.js'

/** Servers whose answers the test decides. */
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
    redis: redis as unknown as Redis,
    keyPrefix: 'test',
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
    /** Waits until a probe has ended that began after this call. */
    async probed() {
      const before = probes
      await until(() => probes > before + 1, { timeoutMs: 10_000, everyMs: 5 })
    },
  }
}

const fails = (message: string) => (): Promise<never> => Promise.reject(new Error(message))

/** The monotonic clock of this process, which the test moves on as a standstill does. */
function standingStill(): { for: (ms: number) => void } {
  const now = performance.now.bind(performance)
  let passedMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now() + passedMs)
  onTestFinished(() => void vi.restoreAllMocks())
  return {
    for(ms) {
      passedMs += ms
    },
  }
}

describe('a server that answers', () => {
  it('is within reach', async () => {
    const { availability, probed } = given()
    await probed()

    expect([availability.redis(), availability.postgres()]).toEqual([true, true])
  })

  it('is out of reach if it refuses writes', async () => {
    const { availability, answerWith, probed } = given()
    await probed()

    answerWith(fails("READONLY You can't write against a read only replica."))
    await probed()

    expect(availability.redis()).toBe(false)
  })
})

describe('a server that does not answer in time', () => {
  it('is out of reach', async () => {
    const { availability, answerWith, probed } = given()
    await probed()

    answerWith(fails('Command timed out'))
    await probed()

    expect(availability.redis()).toBe(false)
  })

  it('counts as before if it is this process that stood still', async () => {
    const { availability, answerWith, probed } = given()
    const stand = standingStill()
    await probed()

    answerWith(async () => {
      stand.for(300)
      throw new Error('Command timed out')
    })
    await probed()

    expect(availability.redis()).toBe(true)
  })

  it('is out of reach once a process that stood still has had no answer for five seconds', async () => {
    const { availability, answerWith, probed } = given()
    const stand = standingStill()
    await probed()

    answerWith(async () => {
      stand.for(3000)
      throw new Error('Command timed out')
    })
    await probed()
    await probed()

    expect(availability.redis()).toBe(false)
  })
})
