import { expect, test } from 'vitest'
import { retainedPart, windowUpTo } from './window.js'

test('shows the last 50 changes if all types are shown', () => {
  expect(windowUpTo(1025, false)).toEqual({ after: 975, to: 1025 })
})

test('looks at the last 1,000 changes if only some types are shown', () => {
  expect(windowUpTo(1025, true)).toEqual({ after: 25, to: 1025 })
})

test('begins with the first change of an event that has few', () => {
  expect(windowUpTo(7, false)).toEqual({ after: 0, to: 7 })
  expect(windowUpTo(0, true)).toEqual({ after: 0, to: 0 })
})

test('leaves out the changes of a window that are no longer kept', () => {
  expect(retainedPart({ after: 975, to: 1025 }, 1000)).toEqual({ after: 999, to: 1025 })
  expect(retainedPart({ after: 975, to: 1025 }, 900)).toEqual({ after: 975, to: 1025 })
  expect(retainedPart({ after: 0, to: 50 }, 900)).toEqual({ after: 50, to: 50 })
})
