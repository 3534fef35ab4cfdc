import { expect, test } from 'vitest'
import { whenReachable } from './startup.js'

/** Fails with each of these errors once, and then succeeds. */
function failing(...errors: Error[]) {
  return async () => {
    const error = errors.shift()
    if (error !== undefined) throw error
    return 'done'
  }
}
const away = () => Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })

test('whenReachable retries while a server is away', async () => {
  const seen: unknown[] = []

  expect(await whenReachable(failing(away(), away()), (error) => seen.push(error))).toBe('done')

  expect(seen).toHaveLength(2)
})

test('whenReachable gives up at once if a retry would fail again', async () => {
  const seen: unknown[] = []

  await expect(
    whenReachable(failing(new Error('no such table')), (error) => seen.push(error)),
  ).rejects.toThrow('no such table')

  expect(seen).toEqual([])
})

test('whenReachable gives up at once if a pooler refuses an option of the address', async () => {
  const refused = Object.assign(new Error('unsupported startup parameter: options'), {
    code: '08P01',
  })

  await expect(whenReachable(failing(refused), () => undefined)).rejects.toThrow(
    /pooler refuses an option of DATABASE_URL or PGOPTIONS: .*unsupported startup parameter: options/,
  )
})

test('whenReachable retries while a pooler cannot reach its server', async () => {
  const passing = Object.assign(new Error('server login has been failing'), { code: '08P01' })

  expect(await whenReachable(failing(passing), () => undefined)).toBe('done')
})
