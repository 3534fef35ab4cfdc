import { expect, test } from 'vitest'
import { changeOrganizers } from './organizers.js'

test('an organizer is added at the end, once', () => {
  expect(changeOrganizers(['olga'], { add: 'otto' })).toEqual(['olga', 'otto'])
  expect(changeOrganizers(['olga', 'otto'], { add: 'olga' })).toEqual(['olga', 'otto'])
})

test('an organizer is removed, whoever else was added meanwhile', () => {
  expect(changeOrganizers(['olga', 'otto', 'new'], { remove: 'otto' })).toEqual(['olga', 'new'])
  expect(changeOrganizers(['olga'], { remove: 'otto' })).toEqual(['olga'])
})
