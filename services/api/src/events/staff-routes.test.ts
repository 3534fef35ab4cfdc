import { createLog } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { appUnderTest, call, fakeAccess, fakeEvents } from '../testing/app-under-test.js'
import type { EventReads } from './reads.js'

/** The app with the changes of an event's staff, and the audit lines that it has logged. */
function given(changes: Partial<EventReads> = {}) {
  const forget = vi.fn()
  const log = createLog('test', 'info')
  const info = vi.spyOn(log, 'info').mockImplementation(() => undefined)
  const app = appUnderTest({
    log,
    events: fakeEvents(changes),
    access: { ...fakeAccess, forget },
  })
  const audited = () =>
    info.mock.calls.map(([entry]) => entry as object).filter((entry) => 'audit' in entry)
  return { app, forget, audited }
}

const olga = { as: 'olga organizer' }

describe('PUT /events/:eventId/organizers', () => {
  it('applies the change to this process and logs who made it', async () => {
    const { app, forget, audited } = given()
    const body = { userIds: ['otto', 'ulla'] }
    const answer = await call(app, 'PUT /events/1/organizers', { ...olga, body })
    expect(answer).toMatchObject({ status: 200, json: { eventId: 1, ...body } })
    expect(forget).toHaveBeenCalledWith(1)
    expect(audited()).toMatchObject([
      { audit: 'event_organizers_changed', actor: 'olga', eventId: 1, ...body },
    ])
  })

  it.each([
    ['forbidden', 403, 'forbidden'],
    ['not_found', 404, 'event_not_found'],
  ] as const)('logs nothing if the locked row says %s', async (change, status, code) => {
    const { app, audited } = given({ setOrganizers: async () => change })
    const answer = await call(app, 'PUT /events/1/organizers', { ...olga, body: { userIds: [] } })
    expect(answer).toMatchObject({ status, json: { code } })
    expect(audited()).toEqual([])
  })

  it('asks whether the caller is still staff while the row is locked', async () => {
    const setOrganizers = vi.fn<EventReads['setOrganizers']>(async () => 'changed')
    const { app } = given({ setOrganizers })
    await call(app, 'PUT /events/1/organizers', { as: 'otto organizer', body: { userIds: [] } })
    const mayChange = setOrganizers.mock.calls[0]?.[2]
    expect(mayChange?.({ owner: 'olga', shared: false, organizers: ['otto'] })).toBe(true)
    expect(mayChange?.({ owner: 'olga', shared: false, organizers: [] })).toBe(false)
  })
})

describe('PUT /events/:eventId/owner', () => {
  it('logs the new owner, and may be sent by the owner and admins only', async () => {
    const setOwner = vi.fn<EventReads['setOwner']>(async () => 'changed')
    const { app, forget, audited } = given({ setOwner })
    const body = { userId: 'ulla' }
    const answer = await call(app, 'PUT /events/1/owner', { ...olga, body })
    expect(answer).toMatchObject({ status: 200, json: { eventId: 1, owner: 'ulla' } })
    expect(forget).toHaveBeenCalledWith(1)
    expect(audited()).toMatchObject([
      { audit: 'event_owner_changed', actor: 'olga', eventId: 1, owner: 'ulla' },
    ])
    await call(app, 'PUT /events/1/owner', { as: 'otto organizer', body })
    const staff = { owner: 'olga', shared: false, organizers: ['otto'] }
    expect(setOwner.mock.calls.map(([, , mayChange]) => mayChange(staff))).toEqual([true, false])
  })
})

it('lets nobody but staff see or change who is staff', async () => {
  const { app } = given()
  for (const [line, body] of [
    ['GET /events/1/organizers', undefined],
    ['PUT /events/1/organizers', { userIds: [] }],
    ['PUT /events/1/owner', { userId: 'ulla' }],
  ] as const)
    for (const as of ['ada', 'ulla organizer'])
      expect((await call(app, line, { as, body })).status).toBe(403)
  expect((await call(app, 'GET /events/1/organizers', olga)).json).toEqual({
    eventId: 1,
    userIds: ['otto', 'oleg'],
  })
})
