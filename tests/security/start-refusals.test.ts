import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createEmptyDatabase } from '../stack/databases.ts'
import { type Env, type LogLine, startService } from '../stack/processes.ts'
import { startServers } from '../stack/servers.ts'
import { sharedServers } from '../stack/shared-servers.ts'
import { createBase } from '../stack/system.ts'

const goodSecret = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'

/** Starts an API in production that must not come up: how it ended, and what it complained of. */
async function refusal(
  changes: Env,
): Promise<{ code: number | null; complaints: LogLine[]; said: string }> {
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
  // A line without a level comes from before there was a log.
  const complaints = api.logs.filter(
    ({ level }) => level === undefined || level === 'fatal' || level === 'error',
  )
  return { code, complaints, said: JSON.stringify(api.logs) }
}

describe('production is not started', () => {
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
      'with one letter for a secret',
      { JWT_SECRET: 'x'.repeat(64) },
      /JWT_SECRET looks like an example/,
    ],
    [
      'with a common password',
      { ADMIN_USER: 'boss', ADMIN_PASSWORD: 'password123' },
      /ADMIN_PASSWORD is a default or common password/,
    ],
    [
      'with a password to be changed',
      { ADMIN_USER: 'boss', ADMIN_PASSWORD: 'changeme-please' },
      /ADMIN_PASSWORD is a default or common password/,
    ],
    [
      'with the name for a password',
      { ADMIN_USER: 'administrator', ADMIN_PASSWORD: 'administrator' },
      /ADMIN_PASSWORD is a default/,
    ],
    [
      'with events that anybody may make',
      { INITIALIZE_OPEN: 'true' },
      /INITIALIZE_OPEN must not be true/,
    ],
    [
      'under another name',
      { NODE_ENV: 'Production', JWT_SECRET: 'weak' },
      /NODE_ENV must be one of/,
    ],
    [
      'with keys fetched in the clear',
      { JWT_JWKS_URL: 'http://issuer.example/keys' },
      /JWT_JWKS_URL must be https/,
    ],
  ])('%s, and says so in one line that does not tell the secret', async (_name, changes, line) => {
    const { code, complaints, said } = await refusal(changes)
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([expect.stringMatching(line)])
    for (const name of ['JWT_SECRET', 'ADMIN_PASSWORD'] as const) {
      const secret = changes[name]
      if (secret && secret !== changes['ADMIN_USER']) expect(said).not.toContain(secret)
    }
  })

  it('on a database without migrations', async () => {
    const { postgresUrl } = await sharedServers()
    const empty = await createEmptyDatabase(postgresUrl)
    onTestFinished(() => empty.drop())
    const { code, complaints } = await refusal({ DATABASE_URL: empty.url })
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([expect.stringMatching(/migrat/)])
  })

  it('on a Redis that may evict', async () => {
    const servers = await startServers()
    onTestFinished(() => servers.stop())
    const redis = new Redis(servers.redis.url)
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    redis.disconnect()
    const { code, complaints } = await refusal({ REDIS_URL: servers.redis.url })
    expect(code).toBe(1)
    expect(complaints.map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/maxmemory-policy noeviction/),
    ])
  })
})
