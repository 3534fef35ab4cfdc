import { beforeAll, describe, expect, it, vi } from 'vitest'
import { whyNoRedis } from '../../../tools/dev-stack/redis-sources.mjs'
import { lostMasters } from './lost-masters.ts'

const missing = await whyNoRedis('local')
if (missing !== undefined) console.log(`The tests of a Redis with replicas are skipped: ${missing}`)

describe.skipIf(missing !== undefined).each([
  ['a Redis Cluster', 'cluster'],
  ['Redis with Sentinels', 'sentinel'],
])('%s', (_name, kind) => {
  beforeAll(() => {
    vi.stubEnv('TEST_REDIS', kind)
    return () => vi.unstubAllEnvs()
  })

  it('serves every event after its masters were killed, frozen and replaced', {
    timeout: 300_000,
  }, async () => {
    const { figures, missed, findings } = await lostMasters.run({
      seed: 1,
      scale: 0.1,
      log: () => undefined,
    })

    console.log(JSON.stringify(figures))
    expect(findings).toEqual([])
    // `npm run faults -- --scenario lost-masters` requires 15 s. A busy machine may take longer.
    const otherThanTimes = missed.filter((text) => !text.includes('time until'))
    expect(otherThanTimes).toEqual([])
    for (const [name, value] of Object.entries(figures))
      if (name.endsWith('ServedMostMs')) expect(value, name).toBeLessThan(60_000)
  })
})
