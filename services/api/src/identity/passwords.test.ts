import { parseOptions } from '@node-rs/argon2'
import { beforeAll, describe, expect, test } from 'vitest'
import { isCommonPassword } from './common-passwords.js'
import { isPassword } from './password-rule.js'
import { createPasswords, type Passwords } from './passwords.js'

describe('hashes', () => {
  let passwords: Passwords
  beforeAll(async () => {
    passwords = await createPasswords()
  })

  test('are argon2id with 19 MiB, two passes, one lane', async () => {
    const hash = await passwords.hash('tall ferns by the river')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(parseOptions(hash)).toMatchObject({ outputLen: 32, saltLen: 16 })
  })

  test('know their password whole, and no other', async () => {
    const long = `${'ß🎟'.repeat(60)}12345678`
    const hash = await passwords.hash(long)
    expect(await passwords.verify(hash, long)).toBe(true)
    expect(await passwords.verify(hash, long.slice(0, -1))).toBe(false)
    expect(await passwords.verify(hash, `${long}9`)).toBe(false)
  })

  test('there is no password for an account that does not exist', async () => {
    expect(await passwords.verify(undefined, 'tall ferns by the river')).toBe(false)
  })
})

describe('the rule', () => {
  test.each([
    ['7 characters', '1234567', false],
    ['8 characters', '1234567x', true],
    ['7 characters of two units each', '🎟'.repeat(7), false],
    ['128 characters of two units each', '🎟'.repeat(128), true],
    ['129 characters', 'x'.repeat(129), false],
    ['a lone surrogate', '1234567\ud800', false],
    ['control characters', 'a\0b\nc\td!', true],
    ['no text', 12345678, false],
  ])('%s', (_name, value, allowed) => {
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
  ])('%s is common', (password) => {
    expect(isCommonPassword(password)).toBe(true)
  })

  test.each(['tall ferns by the river', 'correct horse battery staple', 'hunter2-hunter2', 'Secret-Pass-1'])(
    '%s is not',
    (password) => {
      expect(isCommonPassword(password)).toBe(false)
    },
  )
})
