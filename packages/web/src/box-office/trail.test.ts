import { expect, test } from 'vitest'
import { back, FIRST_PAGE, forward, positionOf } from './trail.js'

test('goes forward to the page that begins after the one that is shown', () => {
  const trail = forward(forward(FIRST_PAGE, 'a'), 'b')
  expect(positionOf(trail)).toBe('b')
  expect(trail.length).toBe(3)
})

test('goes back page by page to the first one', () => {
  const third = forward(forward(FIRST_PAGE, 'a'), 'b')
  expect(positionOf(back(third))).toBe('a')
  expect(positionOf(back(back(third)))).toBeUndefined()
})

test('stays on the first page if there is none before it', () => {
  expect(back(FIRST_PAGE)).toEqual(FIRST_PAGE)
})
