import { parseOptions } from '@node-rs/argon2'
import { beforeAll, describe, expect, test } from 'vitest'
import { createPasswords, type Passwords } from './passwords.js'

describe('createPasswords', () => {
  let passwords: Passwords
  beforeAll(async () => {
    passwords = await createPasswords()
  })

  test('hashes with argon2id, 19 MiB, two passes and one lane', async () => {
    const hash = await passwords.hash('tall ferns by the river')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(parseOptions(hash)).toMatchObject({ outputLen: 32, saltLen: 16 })
  })

  test('verifies the whole password, and no other', async () => {
    const long = `${'ß🎟'.repeat(60)}12345678`
    const hash = await passwords.hash(long)
    expect(await passwords.verify(hash, long)).toBe(true)
    expect(await passwords.verify(hash, long.slice(0, -1))).toBe(false)
    expect(await passwords.verify(hash, `${long}9`)).toBe(false)
  })

  test('verifies no password for an account that does not exist', async () => {
    expect(await passwords.verify(undefined, 'tall ferns by the river')).toBe(false)
  })
})
