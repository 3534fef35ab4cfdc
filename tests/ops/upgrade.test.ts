import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { buildCommit } from '../stack/commit-build.ts'
import { startScript } from '../stack/processes.ts'
import { startSystem } from '../stack/system.ts'
import { previousCommit } from './previous-release.ts'
import { runOps } from './run-ops.ts'

const from = await previousCommit()
if (from === undefined) {
  console.log('The upgrade test is skipped: the commit to upgrade from is not in this history.')
}

it.skipIf(from === undefined)(
  'lets the worker of the previous release serve on the new schema beside the new worker',
  { timeout: 300_000 },
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-previous-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const build = await buildCommit(from as string, folder, ['booking-worker'])
    // The new API on the new schema, at first with the previous worker only.
    const system = await startSystem({ workers: 0 })
    onTestFinished(() => system.stop())
    const previous = await startScript(
      'previous worker',
      build.script('booking-worker'),
      system.env,
    )
    onTestFinished(() => previous.stop())
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 5 }, { token })
    const send = async (call: '/book' | '/cancel', userId: string) =>
      (await system.api.post(call, { eventId: 1 }, { token: await system.token(userId) })).body
        .message

    for (let i = 0; i < 5; i++) expect(await send('/book', `user-${i}`)).toBe('Ticket booked')
    expect(await send('/book', 'late')).toBe('Added to waiting list')
    expect(await send('/cancel', 'user-0')).toBe('Booking canceled')

    const current = await system.addWorker()
    await Promise.all(Array.from({ length: 30 }, (_, i) => send('/book', `more-${i}`)))
    await previous.stop()
    expect(await send('/cancel', 'user-1')).toBe('Booking canceled')
    expect(current.running()).toBe(true)
    expect((await system.api.get('/status/1')).body).toEqual({
      eventId: 1,
      availableTickets: 0,
      waitingListCount: 29,
    })
    expect((await runOps(['verify', '--json'], system.env)).data.ok).toBe(true)
  },
)
