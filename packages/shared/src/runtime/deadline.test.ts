import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { inTime } from './deadline.js'

it('tells what came in time from what did not', async () => {
  expect(await inTime(sleep(1), 1000)).toBe(true)
  expect(await inTime(new Promise(() => undefined), 5)).toBe(false)
})

it('throws what it waits for, and lets it fail unheeded once it is late', async () => {
  await expect(inTime(Promise.reject(new Error('broken')), 1000)).rejects.toThrow('broken')

  const late = sleep(20).then(() => Promise.reject(new Error('broken later')))
  expect(await inTime(late, 1)).toBe(false)
  await sleep(40)
})
