import { expect, it } from 'vitest'
import { failover } from './failover.ts'

it('serves every event from the promoted Redis while connections to the demoted one stay open', {
  timeout: 240_000,
}, async () => {
  const { figures, findings } = await failover.run({ seed: 1, scale: 0.1, log: () => undefined })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  // `npm run faults -- --scenario failover` requires 5 s. A busy machine may take longer.
  expect(figures['allServedAfterMs']).toBeLessThan(60_000)
})
