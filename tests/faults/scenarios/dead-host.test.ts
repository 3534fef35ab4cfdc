import { expect, it } from 'vitest'
import { deadHost } from './dead-host.ts'

it('serves every event within seconds after the host of Redis died without closing connections', {
  timeout: 180_000,
}, async () => {
  const { figures, missed, findings } = await deadHost.run({
    seed: 1,
    scale: 0.1,
    log: () => undefined,
  })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  expect(missed).toEqual([])
})
