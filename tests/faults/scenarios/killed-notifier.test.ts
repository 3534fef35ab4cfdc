import { expect, it } from 'vitest'
import { killedNotifier } from './killed-notifier.ts'
import { isGood } from './scenario.ts'

it('sends a change again with the same id after a notifier was killed before it moved the cursor', {
  timeout: 240_000,
}, async () => {
  const result = await killedNotifier.run({ seed: 1, scale: 0.2, log: () => undefined })

  console.log(JSON.stringify(result.figures))
  expect(result.findings).toEqual([])
  expect(isGood(result), result.missed.join('; ')).toBe(true)
})
