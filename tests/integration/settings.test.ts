import { describe, expect, it } from 'vitest'
import { parseDotEnv, serviceSettings } from '../../scripts/lib/settings.mjs'

describe('.env', () => {
  it('is read with quotes, comments and export taken off', () => {
    const text = [
      '# a comment',
      'PLAIN=value',
      'export EXPORTED=yes',
      '  SPACED = some words  ',
      'QUOTED="kept # whole"',
      "SINGLE='also'  # a comment",
      'COMMENTED=value # a comment',
      'HASH=a#b',
      'EMPTY=',
      'URL=postgres://user:pa=ss@127.0.0.1:5432/name?sslmode=disable',
      'not a setting',
    ].join('\r\n')

    expect(parseDotEnv(text)).toEqual({
      PLAIN: 'value',
      EXPORTED: 'yes',
      SPACED: 'some words',
      QUOTED: 'kept # whole',
      SINGLE: 'also',
      COMMENTED: 'value',
      HASH: 'a#b',
      EMPTY: '',
      URL: 'postgres://user:pa=ss@127.0.0.1:5432/name?sslmode=disable',
    })
  })
})

describe('the settings of the services', () => {
  it('make nothing up in production', () => {
    expect(serviceSettings({ NODE_ENV: 'production', PORT: '1' })).toEqual({
      NODE_ENV: 'production',
      PORT: '1',
    })
  })

  it('leave what a developer set as it is', () => {
    const set = { JWT_SECRET: 'x'.repeat(32), ADMIN_USER: 'root', ADMIN_PASSWORD: 'a long password' }
    expect(serviceSettings(set)).toEqual({ ...set, NODE_ENV: 'development' })
  })
})
