import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'

let system: System
beforeAll(async () => {
  // As `npm start` sets it in development.
  system = await startSystem({ env: { INITIALIZE_OPEN: 'true' } })
})
afterAll(() => system?.stop())

/** The calls of the README as a script, sent to another address. */
function callsFor(url: string): string {
  const readme = readFileSync(fromRoot('README.md'), 'utf8')
  const block = [...readme.matchAll(/```sh\n(.*?)```/gs)].find(([, text]) => text?.includes('curl'))
  return (block?.[1] ?? '').replaceAll('localhost:3000', url.replace('http://', ''))
}

it('runs the calls of the README exactly as printed, from registration to cancellation', async () => {
  const { stdout } = await promisify(execFile)('bash', ['-c', callsFor(system.apis[0]?.url ?? '')])

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
  ])
})
