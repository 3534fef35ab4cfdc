import { expect, it } from 'vitest'
import { chunksOf } from './chunks.js'

it('cuts a list into chunks, of which the last one may be shorter', () => {
  expect([...chunksOf([1, 2, 3, 4, 5], 2)]).toEqual([[1, 2], [3, 4], [5]])
})

it('cuts an empty list into no chunks', () => {
  expect([...chunksOf([], 2)]).toEqual([])
})
