import { expect, it } from 'vitest'
import { deadHost } from './dead-host.ts'

it('connections that lead nowhere are left within seconds, and nothing is lost with them', {
  timeout: 180_000,
}, async () => {
  const { figures, missed, findings } = await deadHost.run({
    seed: 1,
    scale: 0.1,
    say: () => undefined,
  })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  expect(missed).toEqual([])
})
