import { describe, expect, test } from 'vitest'
import { isCommonPassword, isPassword } from './passwords.js'

describe('isPassword and isCommonPassword', () => {
  test.each([
    ['7 characters', '1234567', false],
    ['8 characters', '1234567x', true],
    ['7 characters of two units each', '🎟'.repeat(7), false],
    ['128 characters of two units each', '🎟'.repeat(128), true],
    ['129 characters', 'x'.repeat(129), false],
    ['a lone surrogate', '1234567\ud800', false],
    ['control characters', 'a\0b\nc\td!', true],
    ['a number', 12345678, false],
  ])('check the length and form of a password: %s', (_name, value, allowed) => {
    expect(isPassword(value)).toBe(allowed)
  })

  test.each([
    'password',
    '12345678',
    'qwertyuiop',
    'iloveyou',
    'password123',
    'football',
    'trustno1',
    '1q2w3e4r',
  ])('find that "%s" is a common password', (password) => {
    expect(isCommonPassword(password)).toBe(true)
  })

  test.each([
    'tall ferns by the river',
    'correct horse battery staple',
    'hunter2-hunter2',
    'Secret-Pass-1',
  ])('find that "%s" is not a common password', (password) => {
    expect(isCommonPassword(password)).toBe(false)
  })
})
