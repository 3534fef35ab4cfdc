import { CHANGE_TYPES, type LoggedChange, type LoggedChangeData } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { noOverrides } from '../auth/account-overrides.js'
import { createConcurrencyLimit } from '../limits/concurrency.js'
import { appUnderTest, call, fakeChanges } from '../testing/app-under-test.js'
import type { ChangeFeed } from './change-feed.js'
import { changeSchema } from './changes-route.js'

const as = 'olga organizer'
const stream = { accept: 'application/x-ndjson' }

/** A change with everything that the log can have. */
function logged(no: number, type: LoggedChange['type']): LoggedChange {
  const data: LoggedChangeData = {
    origin: 'offer',
    position: 3,
    expiresAtMs: 1_700_000_000_000.5,
    standing: 'held',
    reason: 'storm',
    settings: { totalTickets: 5, name: null, opensAtMs: 0, paused: true, maxWaiting: null },
  }
  const at = { atMs: 1_700_000_000_000, userId: 'ada', sequence: 7, actor: 'ada' }
  return { eventId: 1, no, type, ...at, commandId: 'c', data }
}

const changes = CHANGE_TYPES.map((type, index) => logged(index + 1, type))

describe('GET /events/:eventId/changes', () => {
  it('sends only documented members', async () => {
    const read = async () => ({ changes, next: 14, epoch: 'one' })
    const app = appUnderTest({ changes: fakeChanges({ read }) })
    const { json } = await call(app, 'GET /events/1/changes', { as })
    expect(json).toMatchObject({ next: 14, epoch: 'one' })
    expect(json.changes.map((change: unknown) => changeSchema.parse(change).type)).toEqual(
      CHANGE_TYPES,
    )
  })

  it('reads what the query asks for', async () => {
    const read = vi.fn<ChangeFeed['read']>(async () => ({ changes: [], next: 7, epoch: 'one' }))
    const app = appUnderTest({ changes: fakeChanges({ read }) })
    await call(app, 'GET /events/1/changes', { as })
    const query = 'after=7&limit=1000&epoch=one&type=waitlist.left,booking.held'
    await call(app, `GET /events/1/changes?${query}`, { as })
    expect(read.mock.calls).toEqual([
      [{ eventId: 1, after: 0, limit: 50, types: undefined, epoch: undefined }],
      [
        {
          eventId: 1,
          after: 7,
          limit: 1000,
          types: ['booking.held', 'waitlist.left'],
          epoch: 'one',
        },
      ],
    ])
  })

  it('counts as a long poll and not as a request while it waits', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wait: ChangeFeed['wait'] = async () => {
      await promise
      return { changes: [], next: 0, epoch: 'one' }
    }
    const requests = createConcurrencyLimit(10)
    const longPolls = createConcurrencyLimit(1)
    const app = appUnderTest({ changes: fakeChanges({ wait }), requests, longPolls })
    const headers = { prefer: 'wait=5' }
    const waiting = call(app, 'GET /events/1/changes', { as, headers })
    await vi.waitFor(() => expect(longPolls.count()).toBe(1))
    expect(requests.count()).toBe(0)
    const second = await call(app, 'GET /events/1/changes', { as, headers })
    expect([second.status, second.json.code]).toEqual([503, 'busy'])
    const page = await call(app, 'GET /events/1/changes', { as, headers: { prefer: 'wait=0' } })
    expect([page.status, page.headers.get('preference-applied')]).toEqual([200, 'wait=0'])
    resolve()
    expect((await waiting).headers.get('preference-applied')).toBe('wait=5')
    expect([requests.count(), longPolls.count()]).toEqual([0, 0])
  })

  it.each([
    [401, async () => undefined],
    [403, async () => ({ userId: 'olga', role: 'user' }) as const],
  ])(
    'is refused with %i if its caller has lost the right to it during the wait',
    async (status, apply) => {
      const app = appUnderTest({ overrides: { ...noOverrides, apply } })
      const answer = await call(app, 'GET /events/1/changes', { as, headers: { prefer: 'wait=5' } })
      expect(answer.status).toBe(status)
    },
  )

  it('streams one change a line, and says where to continue', async () => {
    async function* rest() {
      yield changes.slice(1)
    }
    const exported: ChangeFeed['export'] = async () => ({
      first: changes.slice(0, 1),
      rest: rest(),
      lastChange: 14,
      epoch: 'one',
    })
    const app = appUnderTest({ changes: fakeChanges({ export: exported }) })
    const answer = await app.request('/events/1/changes?type=event.created,waitlist.left', {
      headers: { ...stream, prefer: 'wait=5', authorization: `Test ${as}` },
    })
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    expect(answer.headers.get('preference-applied')).toBeNull()
    expect(answer.headers.get('link')).toBe(
      '</events/1/changes?type=event.created%2Cwaitlist.left&after=14&epoch=one>; rel="next"',
    )
    const lines = (await answer.text()).split('\n')
    expect(lines.pop()).toBe('')
    expect(lines.map((line) => changeSchema.parse(JSON.parse(line)).no)).toEqual(
      changes.map(({ no }) => no),
    )
  })

  it('starts no export for HEAD', async () => {
    const exported = vi.fn()
    const app = appUnderTest({ changes: fakeChanges({ export: exported }) })
    const answer = await call(app, 'HEAD /events/1/changes', { as, headers: stream })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(exported).not.toHaveBeenCalled()
  })
})
