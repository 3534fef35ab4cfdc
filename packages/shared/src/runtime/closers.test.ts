import { expect, it, vi } from 'vitest'
import { createClosers } from './closers.js'

it('closes everything once and in reverse order, even if two callers close at the same time', async () => {
  const closed: string[] = []
  const closers = createClosers(() => undefined)
  for (const name of ['database', 'redis', 'server']) closers.push(name, () => closed.push(name))

  await Promise.all([closers.closeAll(), closers.closeAll()])

  expect(closed).toEqual(['server', 'redis', 'database'])
})

it('continues after a closer that fails, and reports its name', async () => {
  const onError = vi.fn()
  const first = vi.fn()
  const closers = createClosers(onError)
  closers.push('first', first)
  closers.push('broken', () => Promise.reject(new Error('stuck')))

  await closers.closeAll()

  expect(first).toHaveBeenCalledOnce()
  expect(onError).toHaveBeenCalledExactlyOnceWith('broken', new Error('stuck'))
})
