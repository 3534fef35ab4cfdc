import { afterAll, beforeAll, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'
import { runOps } from './run-ops.ts'

let system: System
beforeAll(async () => {
  system = await startSystem({ workers: 0 })
})
afterAll(() => system?.stop())

async function createKey(
  userId: string,
  settings: object = {},
): Promise<{ id: string; key: string }> {
  const token = await system.token(userId, 'organizer')
  const body = { name: `Shop of ${userId}`, scopes: ['webhooks:write'], ...settings }
  const created = await system.api.post('/api-keys', body, { token })
  expect(created.status).toBe(201)
  return created.body
}

it('lists API keys with their owners, and deletes one of them', async () => {
  const ofOlga = await createKey('olga', { eventIds: [7, 8], expiresAt: '2130-01-31T18:00:00Z' })
  const ofOtto = await createKey('otto')
  const use = () => system.api.get('/webhooks', { token: ofOtto.key })
  expect((await use()).status).toBe(200)

  const all = await runOps(['key', 'list', '--json'], system.env)
  expect(all.data.keys).toMatchObject([
    { id: ofOlga.id, userId: 'olga', eventIds: [7, 8], expiresAt: '2130-01-31T18:00:00.000Z' },
    { id: ofOtto.id, userId: 'otto', name: 'Shop of otto', scopes: ['webhooks:write'] },
  ])
  const own = await runOps(['key', 'list', 'otto'], system.env)
  expect(own.stdout).toContain(ofOtto.id)
  expect(own.stdout).not.toContain(ofOlga.id)
  expect(all.stdout + own.stdout).not.toContain(ofOtto.key.slice(-38))
  expect((await runOps(['key', 'list', '--limit', '1', '--json'], system.env)).data.more).toBe(true)

  expect(await runOps(['key', 'delete', ofOtto.id], system.env)).toMatchObject({ exitCode: 0 })
  await expect.poll(async () => (await use()).status, { timeout: 5000 }).toBe(401)
  expect(await runOps(['key', 'delete', ofOtto.id], system.env)).toMatchObject({ exitCode: 1 })
  for (const wrong of [['key'], ['key', 'delete'], ['key', 'list', 'a', 'b'], ['key', 'show', 'x']])
    expect(await runOps(wrong, system.env)).toMatchObject({ exitCode: 2 })
}, 60_000)
