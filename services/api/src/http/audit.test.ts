import { createLog } from '@ticket-line/shared'
import { beforeEach, expect, it } from 'vitest'
import {
  appUnderTest,
  booked,
  call,
  eventOne,
  fakeEvents,
  fakeLine,
} from '../testing/app-under-test.js'

let written: string[] = []
beforeEach(() => {
  written = []
})

const audited = () =>
  written.map((line) => JSON.parse(line)).filter((line) => line.audit !== undefined)
const log = createLog('test', 'info', { write: (line: string) => void written.push(line) })
const olga = { as: 'olga organizer' }

it('logs the user and the job when staff act for another user', async () => {
  const app = appUnderTest({ log, line: fakeLine(booked) })

  await call(app, 'POST /book', { ...olga, body: { eventId: 1, userId: 'eve' } })

  expect(audited()).toMatchObject([
    {
      audit: 'acted_for_other',
      actor: 'olga',
      actorRole: 'organizer',
      userId: 'eve',
      eventId: 1,
      type: 'book',
      jobId: 'event-1.000000000aaaaaaaaaaaa.1.0',
      outcome: 'booked',
    },
  ])
})

it('logs nothing when users act for themselves', async () => {
  const app = appUnderTest({ log, line: fakeLine(booked) })

  await call(app, 'POST /book', { ...olga, body: { eventId: 1 } })
  await call(app, 'POST /cancel', { ...olga, body: { eventId: 1, userId: 'olga' } })

  expect(audited()).toEqual([])
})

it('logs nothing for a command that was not stored', async () => {
  const app = appUnderTest({ log, line: fakeLine({ kind: 'busy', limit: 'line_depth' }) })

  await call(app, 'POST /cancel', { ...olga, body: { eventId: 1, userId: 'eve' } })

  expect(audited()).toEqual([])
})

it('logs the creation of an event once', async () => {
  const create = async (created: boolean) => {
    const app = appUnderTest({
      log,
      events: fakeEvents({ create: async () => ({ created, event: eventOne }) }),
    })
    await call(app, 'POST /initialize', { ...olga, body: { eventId: 1, totalTickets: 10 } })
  }

  await create(true)
  await create(false)

  expect(audited()).toMatchObject([
    { audit: 'event_initialized', actor: 'olga', eventId: 1, totalTickets: 10 },
  ])
})
