import { expect, it } from 'vitest'
import { lostRedis } from './lost-redis.ts'

it('decides what was accepted in its order after Redis has lost everything', {
  timeout: 240_000,
}, async () => {
  const { figures, findings } = await lostRedis.run({ seed: 1, scale: 0.1, log: () => undefined })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  // `npm run faults -- --scenario lost-redis` requires 15 s. A busy machine may take longer.
  for (const name of ['flushed', 'filesDeleted', 'notPersistent'])
    expect(figures[`${name}DecidedMs`]).toBeLessThan(60_000)
})
