import { ConfigError } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { readConfig } from './config.js'

const needed = {
  DATABASE_URL: 'postgres://user@host/name',
  REDIS_URL: 'redis://host',
  JWT_SECRET: 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO',
}

describe('readConfig', () => {
  it('has the defaults of the contract', () => {
    const config = readConfig(needed)
    expect(config.server.port).toBe(3000)
    expect(config.line).toMatchObject({ resultWaitMs: 10_000, maxQueueDepth: 20_000 })
    expect(config.limits).toEqual({
      windowMs: 900_000,
      requests: 100,
      polls: 1000,
      signInFailures: 20,
      keyRequestsPerMinute: 60_000,
    })
    expect(config).toMatchObject({
      trustedProxies: { hops: 0 },
      production: false,
      dashboardWritable: false,
    })
  })

  it('allows INITIALIZE_OPEN=true, but not in production', () => {
    expect(readConfig(needed).initializeOpen).toBe(false)
    expect(readConfig({ ...needed, INITIALIZE_OPEN: 'true' }).initializeOpen).toBe(true)
    const production = { ...needed, NODE_ENV: 'production' }
    expect(readConfig({ ...production, INITIALIZE_OPEN: 'false' }).initializeOpen).toBe(false)
    expect(() => readConfig({ ...production, INITIALIZE_OPEN: 'true' })).toThrow(
      new ConfigError(
        'INITIALIZE_OPEN must not be true in production: anybody could create events',
      ),
    )
  })

  it.each(Object.keys(needed))('requires %s', (name) => {
    expect(() => readConfig({ ...needed, [name]: '' })).toThrow(
      expect.objectContaining({ name: ConfigError.name, message: expect.stringContaining(name) }),
    )
  })

  it.each([
    ['PORT', '70000'],
    ['RESULT_WAIT_MS', '-1'],
    ['MAX_QUEUE_DEPTH', '0'],
    ['RATE_LIMIT', 'x'],
    ['TRUST_PROXY_HOPS', '1.5'],
    ['TRUSTED_PROXIES', '10.0.0.0/8, somewhere'],
    ['QUEUE_BOARD_WRITABLE', 'maybe'],
  ])('refuses %s=%s and names it', (name, value) => {
    expect(() => readConfig({ ...needed, [name]: value })).toThrow(new RegExp(`^${name} `))
  })
})
