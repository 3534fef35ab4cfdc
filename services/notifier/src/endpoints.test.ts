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

it('logs once that a secret cannot be decrypted, and again after it could', async () => {
  const [keys, otherKeys] = [newKeys(), newKeys()]
  const readable = encryptSecret(keys, 'hook', newSecret())
  const unreadable = encryptSecret(otherKeys, 'hook', newSecret())
  const row = {
    webhookId: 'hook',
    types: null,
    eventIds: null,
    disabledReason: null,
  } as EndpointRow
  let secrets = [unreadable]
  const error = vi.fn()
  const endpoints = watchEndpoints({
    read: async () => ({ epoch: 'one', isOfEpoch: true, endpoints: [{ ...row, secrets }] }),
    secretKeys: keys,
    adoptEpoch: async () => undefined,
    onMoreWanted: () => undefined,
    log: { error, warn: vi.fn() } as unknown as Log,
  })
  onTestFinished(() => endpoints.stop())

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
