import { expect, it } from 'vitest'
import {
  ERROR_WITHIN_MS,
  FIND_JOB_MS,
  FIND_JOB_UNTIL_MS,
  RATE_LIMIT_MS,
  RECORD_ABANDONED_MS,
  STORE_JOB_MS,
} from './error-budget.js'

it('divides the second in which clients get an error among all parts of a submit', () => {
  const parts = [RATE_LIMIT_MS, STORE_JOB_MS, FIND_JOB_MS, RECORD_ABANDONED_MS]

  expect(ERROR_WITHIN_MS).toBe(1000)
  expect(parts.reduce((sum, part) => sum + part)).toBeLessThanOrEqual(ERROR_WITHIN_MS)
  expect(FIND_JOB_UNTIL_MS).toBe(RATE_LIMIT_MS + STORE_JOB_MS)
})
