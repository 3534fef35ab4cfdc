import { expect, it } from 'vitest'
import { lostRedis } from './lost-redis.ts'

it('decides what was accepted in its order after Redis has lost everything', {
  timeout: 240_000,
}, async () => {
  const { figures, missed, findings } = await lostRedis.run({
    seed: 1,
    scale: 0.1,
    log: () => undefined,
  })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  expect(missed).toEqual([])
})
