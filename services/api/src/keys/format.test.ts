import { createHash } from 'node:crypto'
import { isKeyId } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { hashOfKey, keyIdIn, looksLikeKey, newKey, newKeyId } from './format.js'

describe('the form of an API key', () => {
  it('has an id, a random secret and a checksum', () => {
    const keyId = newKeyId()
    const key = newKey(keyId)
    expect(isKeyId(keyId)).toBe(true)
    expect(key).toMatch(/^tlk_[0-9A-Za-z]{16}_[0-9A-Za-z]{38}$/)
    expect(looksLikeKey(key)).toBe(true)
    expect(keyIdIn(key)).toBe(keyId)
    expect(newKey(keyId)).not.toBe(key)
  })

  it('has a checksum that stays the same in later releases', () => {
    const text = 'tlk_AAAAAAAAAAAAAAAA_00000000000000000000000000000000'
    expect(keyIdIn(`${text}1fFK7h`)).toBe('AAAAAAAAAAAAAAAA')
  })

  it('is refused if a character is mistyped, missing, added or swapped', () => {
    const key = newKey(newKeyId())
    for (let i = 0; i < key.length; i++) {
      const other = key[i] === 'x' ? 'y' : 'x'
      expect(keyIdIn(key.slice(0, i) + other + key.slice(i + 1))).toBeUndefined()
      expect(keyIdIn(key.slice(0, i) + key.slice(i + 1))).toBeUndefined()
      expect(keyIdIn(`${key.slice(0, i)}x${key.slice(i)}`)).toBeUndefined()
      const [a = '', b = ''] = [key[i], key[i + 1]]
      if (a !== b && b !== '')
        expect(keyIdIn(key.slice(0, i) + b + a + key.slice(i + 2))).toBeUndefined()
    }
  })

  it('is hashed whole, with SHA-256', () => {
    const key = newKey(newKeyId())
    expect(hashOfKey(key)).toEqual(createHash('sha256').update(key).digest())
  })
})
