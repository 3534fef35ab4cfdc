import { callerOfKey } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { arrayOf } from './array-literal.js'

const KEY_ID = 'Zx81kQ4fWm2Rb7Yp'

describe('arrayOf', () => {
  it('writes an array literal of PostgreSQL', () => {
    expect(arrayOf(['ada', 7, true, null])).toBe('{"ada",7,true,null}')
    expect(arrayOf(['a "b" \\ c', '{,}'])).toBe('{"a \\"b\\" \\\\ c","{,}"}')
  })

  it('writes the caller of an API key with its control character instead of an escape', () => {
    expect(arrayOf([callerOfKey(KEY_ID), 'ada'])).toBe(`{"key\u0001${KEY_ID}","ada"}`)
  })

  it('does not change a user id that contains the text of the escape', () => {
    expect(arrayOf(['key\\u0001', callerOfKey(KEY_ID), '\\\\u0001'])).toBe(
      `{"key\\\\u0001","key\u0001${KEY_ID}","\\\\\\\\u0001"}`,
    )
  })
})
