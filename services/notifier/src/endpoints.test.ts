import { randomBytes } from 'node:crypto'
import type { EndpointRow } from '@ticket-line/db'
import { type Log, readEnv } from '@ticket-line/shared'
import { encryptSecret, newSecret, readSecretKeys, type SecretKeys } from '@ticket-line/webhooks'
import { expect, it, onTestFinished, vi } from 'vitest'
import { watchEndpoints } from './endpoints.js'

const newKeys = () =>
  readSecretKeys(
    readEnv({ WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex') }),
    true,
  ) as SecretKeys

/** Watches one webhook with these encrypted secrets. */
function watch(secretKeys: SecretKeys, secretsOf: () => Buffer[], error = vi.fn()) {
  const row = { webhookId: 'hook', types: null, eventIds: null, disabledReason: null }
  const endpoints = watchEndpoints({
    read: async () => ({
      epoch: 'one',
      isOfEpoch: true,
      endpoints: [{ ...row, secrets: secretsOf() } as EndpointRow],
    }),
    secretKeys,
    adoptEpoch: async () => undefined,
    onMoreWanted: () => undefined,
    log: { error, warn: vi.fn() } as unknown as Log,
  })
  onTestFinished(() => endpoints.stop())
  return endpoints
}

it('logs once that a secret cannot be decrypted, and again after it could', async () => {
  const [keys, otherKeys] = [newKeys(), newKeys()]
  const readable = encryptSecret(keys, 'hook', newSecret())
  const unreadable = encryptSecret(otherKeys, 'hook', newSecret())
  let secrets = [unreadable]
  const error = vi.fn()
  const endpoints = watch(keys, () => secrets, error)

  for (let reads = 0; reads < 3; reads++) await endpoints.refresh()
  expect((await endpoints.find('hook'))?.secrets).toBeUndefined()
  expect(error).toHaveBeenCalledTimes(1)

  secrets = [readable]
  await endpoints.refresh()
  expect((await endpoints.find('hook'))?.secrets).toHaveLength(1)
  secrets = [unreadable]
  await endpoints.refresh()
  expect(error).toHaveBeenCalledTimes(2)
})

it('signs with the new secret alone if the key of the previous one is lost', async () => {
  const [keys, lostKeys] = [newKeys(), newKeys()]
  const secret = newSecret()
  const secrets = [
    encryptSecret(keys, 'hook', secret),
    encryptSecret(lostKeys, 'hook', newSecret()),
  ]
  const endpoints = watch(keys, () => secrets)
  await endpoints.refresh()
  expect((await endpoints.find('hook'))?.secrets).toEqual([secret])

  secrets.reverse()
  await endpoints.refresh()
  expect((await endpoints.find('hook'))?.secrets).toBeUndefined()
})
