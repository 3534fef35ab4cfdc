import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEmptyDatabase } from '../stack/databases.ts'
import { type Env, type LogLine, startService } from '../stack/processes.ts'
import { startServers } from '../stack/servers.ts'
import { sharedServers } from '../stack/shared-servers.ts'
import { createBase } from '../stack/system.ts'

const goodSecret = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'

/** Starts a production API that must refuse to start. @returns how it ended and what it logged */
async function startRefused(
  changes: Env,
): Promise<{ code: number | null; complaints: LogLine[]; logged: string }> {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const api = await startService('api', {
    NODE_ENV: 'production',
    DATABASE_URL: base.databaseUrl,
    REDIS_URL: base.redisUrl,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET: goodSecret,
    ...changes,
  })
  onTestFinished(() => api.kill())
  const { code } = await api.exited
  // A line without a level was printed before the logger existed.
  const complaints = api.logs.filter(
    ({ level }) => level === undefined || level === 'fatal' || level === 'error',
  )
  return { code, complaints, logged: JSON.stringify(api.logs) }
}

describe('a start in production', () => {
  it.each<[string, Env, RegExp]>([
    ['without a secret', { JWT_SECRET: '' }, /^api cannot start: JWT_SECRET is not set/],
    [
      'with a secret of 31 bytes',
      { JWT_SECRET: goodSecret.slice(1) },
      /JWT_SECRET is too short: 31 bytes/,
    ],
    [
      'with the secret of an example',
      { JWT_SECRET: 'your-256-bit-secret-your-256-bit-secret' },
      /JWT_SECRET looks like an example/,
    ],
    [
      'with a secret of one repeated letter',
      { JWT_SECRET: 'x'.repeat(64) },
      /JWT_SECRET looks like an example/,
    ],
    [
      'with a common password',
      { ADMIN_USER: 'boss', ADMIN_PASSWORD: 'password123' },
      /ADMIN_PASSWORD is a default or common password/,
    ],
    [
      'with a placeholder password',
      { ADMIN_USER: 'boss', ADMIN_PASSWORD: 'changeme-please' },
      /ADMIN_PASSWORD is a default or common password/,
    ],
    [
      'with a password equal to the user id',
      { ADMIN_USER: 'administrator', ADMIN_PASSWORD: 'administrator' },
      /ADMIN_PASSWORD is a default/,
    ],
    [
      'with a key of webhooks that is no random bytes',
      { WEBHOOK_SECRET_KEY: 'the key of our webhooks is very long' },
      /WEBHOOK_SECRET_KEY must be 32 random bytes/,
    ],
    [
      'with a key of webhooks of 16 bytes',
      { WEBHOOK_SECRET_KEY: '00112233445566778899aabbccddeeff' },
      /WEBHOOK_SECRET_KEY must be 32 random bytes/,
    ],
    ['with INITIALIZE_OPEN', { INITIALIZE_OPEN: 'true' }, /INITIALIZE_OPEN must not be true/],
    [
      'with a misspelled NODE_ENV',
      { NODE_ENV: 'Production', JWT_SECRET: 'weak' },
      /NODE_ENV must be one of/,
    ],
    [
      'with a key URL over plain HTTP',
      { JWT_JWKS_URL: 'http://issuer.example/keys' },
      /JWT_JWKS_URL must be https/,
    ],
  ])('refuses to start in production %s and prints no secret', async (_name, changes, line) => {
    const { code, complaints, logged } = await startRefused(changes)
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([expect.stringMatching(line)])
    for (const name of ['JWT_SECRET', 'ADMIN_PASSWORD', 'WEBHOOK_SECRET_KEY'] as const) {
      const secret = changes[name]
      if (secret && secret !== changes['ADMIN_USER']) expect(logged).not.toContain(secret)
    }
  })

  it('refuses to start in production on a database without migrations', async () => {
    const { postgresUrl } = await sharedServers()
    const empty = await createEmptyDatabase(postgresUrl)
    onTestFinished(() => empty.drop())
    const { code, complaints } = await startRefused({ DATABASE_URL: empty.url })
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([expect.stringMatching(/migrat/)])
  })

  it('refuses to start in production on a Redis that may evict keys', async () => {
    const servers = await startServers()
    onTestFinished(() => servers.stop())
    const redis = new Redis(servers.redis.url)
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    redis.disconnect()
    const { code, complaints } = await startRefused({ REDIS_URL: servers.redis.url })
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/maxmemory-policy noeviction/),
    ])
  })
})
