import { expect, test } from 'vitest'
import { changeOrganizers } from './organizers.js'

test('an organizer is added at the end, once', () => {
  expect(changeOrganizers(['olga'], { add: 'otto' })).toEqual(['olga', 'otto'])
  expect(changeOrganizers(['olga', 'otto'], { add: 'olga' })).toEqual(['olga', 'otto'])
})

test('removing an organizer keeps those that were added in the meantime', () => {
  expect(changeOrganizers(['olga', 'otto', 'new'], { remove: 'otto' })).toEqual(['olga', 'new'])
  expect(changeOrganizers(['olga'], { remove: 'otto' })).toEqual(['olga'])
})
