import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

const ADMIN_PASSWORD = 'the password of the first admin'

let system: System
/** A folder with the admin's password, as `npm start` leaves it in the clone. */
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-readme-'))
  mkdirSync(path.join(folder, '.data'))
  writeFileSync(path.join(folder, '.data/admin-password'), ADMIN_PASSWORD)
  // As `npm start` sets it in development.
  system = await startSystem({
    env: { INITIALIZE_OPEN: 'true', ADMIN_USER: 'admin', ADMIN_PASSWORD },
  })
})
afterAll(async () => {
  await system?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** The calls of the README as a script, sent to another address. */
function callsFor(url: string): string {
  const readme = readFileSync(fromRoot('README.md'), 'utf8')
  const block = [...readme.matchAll(/```sh\n(.*?)```/gs)].find(([, text]) => text?.includes('curl'))
  return (block?.[1] ?? '').replaceAll('localhost:3000', url.replace('http://', ''))
}

it('runs the calls of the README exactly as printed, from registration to confirmation', async () => {
  const calls = callsFor(system.apis[0]?.url ?? '')
  const { stdout } = await promisify(execFile)('bash', ['-c', calls], { cwd: folder })

  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(answers).toEqual([
    { userId: 'ada' },
    {
      message: 'Event initialized',
      event: { eventId: 1, totalTickets: 2, availableTickets: 2 },
    },
    { message: 'Ticket booked' },
    expect.objectContaining({ type: 'cancel', state: 'done', outcome: 'canceled', status: 200 }),
    { eventId: 1, availableTickets: 2, waitingListCount: 0 },
    expect.objectContaining({ eventId: 2, totalTickets: 2, state: 'open', holdSeconds: 600 }),
    { message: 'Ticket held' },
    { message: 'Booking confirmed' },
  ])
})
