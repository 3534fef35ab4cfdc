import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { prepareDemo } from '../../tools/dev-stack/demo.mjs'
import { type System, startSystem } from '../stack/system.ts'

// Runs before the imports, because the imported modules read DATA_DIR when they load.
const folder = await vi.hoisted(async () => {
  const { mkdtempSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  process.env['DATA_DIR'] = mkdtempSync(`${tmpdir()}/ticket-line-demo-`)
  return process.env['DATA_DIR']
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const admin = { ADMIN_USER: 'admin', ADMIN_PASSWORD: 'demo-admin-password' }
let system: System
/** Prepares the demo data as `npm start` does on a database that it did not start. */
let prepare: (settings?: object) => ReturnType<typeof prepareDemo>

describe('the demo data in a database given by DATABASE_URL', () => {
  beforeAll(async () => {
    system = await startSystem({ workers: 0, env: admin })
    const url = system.apis[0]?.url as string
    prepare = (settings = admin) =>
      prepareDemo(url, { settings: { ...settings }, shownUrl: url, ownDatabase: false })
  }, 120_000)
  afterAll(() => system?.stop())
  beforeEach(() => rmSync(path.join(folder, 'demo-password'), { force: true }))

  /** Whether the first printed call, a sign-in, succeeds. */
  async function signsIn([first = '']: string[]): Promise<boolean> {
    const body = /-d '([^']+)'/.exec(first)?.[1] ?? ''
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${system.apis[0]?.url}/login`, { method: 'POST', headers, body })
    return answer.status === 200
  }

  it('creates demo data if there are no other events, even if its account exists', async () => {
    const first = await prepare()
    expect(await signsIn(first.calls)).toBe(true)
    // The password was kept in the data folder.
    expect((await prepare()).calls).toEqual(first.calls)

    rmSync(path.join(folder, 'demo-password'))
    const second = await prepare()
    expect(second.calls).not.toEqual(first.calls)
    expect(await signsIn(second.calls)).toBe(true)
    expect((await prepare()).calls).toEqual(second.calls)
  })

  it('creates no demo data next to other events but finds existing demo data', async () => {
    const before = await prepare()
    const organizer = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 7, totalTickets: 5 }, { token: organizer })
    expect((await prepare()).calls).toEqual(before.calls)

    rmSync(path.join(folder, 'demo-password'))
    expect(await prepare()).toEqual({
      calls: [],
      why: 'this database already contains events, so no demo data was created in it',
    })
  })

  it('gives a reason instead of calls if the admin has another password', async () => {
    expect(await prepare({ ...admin, ADMIN_PASSWORD: 'another-password' })).toEqual({
      calls: [],
      why: 'the account "admin" in this database has another password than ADMIN_PASSWORD',
    })
  })
})
