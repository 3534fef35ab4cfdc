import { type CommandRequest, callerOfKey, type Outcome } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { readableJob } from './readable-job.js'

const acceptedAtMs = Date.parse('2030-01-31T18:00:00.000Z')
const decidedAtMs = acceptedAtMs + 250
const base = { eventId: 1001, userId: 'ada', caller: 'ada' }
const nameOf = (eventId: number) => (eventId === 1001 ? 'Late show' : undefined)

function describeJob(commands: CommandRequest[], outcomes?: Omit<Outcome, 'decidedAtMs'>[]) {
  const data = { v: 4, replyTo: 'api-1', acceptedAtMs, commands }
  const returnvalue = outcomes && {
    jobId: 'job-1',
    outcomes: outcomes.map((outcome) => ({ ...outcome, decidedAtMs })),
  }
  return readableJob({ data, returnvalue }, nameOf)
}

const askedOf = (command: CommandRequest) => describeJob([command])?.data.commands[0]
const answerOf = (command: CommandRequest, outcome: Omit<Outcome, 'decidedAtMs'>) =>
  describeJob([command], [outcome])?.data.commands[0]?.split(' → ')[1]

describe('a job on the dashboard', () => {
  it('says who asked for what, and what the answers were', () => {
    const commands: CommandRequest[] = [
      { ...base, type: 'book' },
      { ...base, type: 'book', userId: 'bea', caller: 'bea' },
      { ...base, type: 'cancel', userId: 'cai', caller: 'cai', bookingId: '1001-3' },
    ]
    expect(
      describeJob(commands, [
        { outcome: 'booked', bookingId: '1001-7' },
        { outcome: 'waiting', position: 17 },
        { outcome: 'canceled', bookingId: '1001-3', promotedUserId: 'dan' },
      ]),
    ).toEqual({
      name: '3 commands: 1 booked, 1 waiting, 1 canceled',
      data: {
        event: 'Late show (1001)',
        accepted: '2030-01-31T18:00:00.000Z',
        commands: [
          'ada: book a ticket → booked, 1001-7',
          'bea: book a ticket → waiting list, position 17',
          'cai: cancel 1001-3 → booking canceled, 1001-3, the ticket went to dan',
        ],
      },
      returnvalue: { decided: '2030-01-31T18:00:00.250Z' },
    })
  })

  it('counts the commands until they are decided', () => {
    const job = describeJob([
      { ...base, type: 'book' },
      { ...base, type: 'cancel_event', reason: 'The hall is flooded.' },
    ])
    expect(job).toMatchObject({ name: '2 commands: 1 book, 1 cancel event' })
    expect(job?.returnvalue).toBeUndefined()
  })

  it('names the sender of a command for somebody else', () => {
    expect(askedOf({ ...base, type: 'book', caller: 'olga' })).toBe(
      'ada: book a ticket, sent by olga',
    )
    expect(askedOf({ ...base, type: 'grant', caller: callerOfKey('0123456789abcdef') })).toBe(
      'ada: be given a ticket, sent with API key 0123456789abcdef',
    )
  })

  it('describes the other commands', () => {
    expect(askedOf({ ...base, type: 'confirm' })).toBe('ada: confirm a hold')
    expect(askedOf({ ...base, type: 'extend', bookingId: '1001-7', seconds: 60 })).toBe(
      'ada: extend 1001-7 to 60 s from now',
    )
    expect(askedOf({ ...base, type: 'configure', patch: { paused: true }, ifVersion: 3 })).toBe(
      'ada: change {"sales":"paused"}, if its version is 3',
    )
    const settle = { ...base, type: 'settle', userId: '', caller: '' } as const
    expect(askedOf(settle)).toBe('the system: apply what has come due')
    expect(answerOf(settle, { outcome: 'settled' })).toBe('applied')
  })

  it('describes holds and refusals', () => {
    const book = { ...base, type: 'book' } as const
    const expiresAtMs = acceptedAtMs + 60_000
    expect(answerOf(book, { outcome: 'held', bookingId: '1001-7', expiresAtMs })).toBe(
      'held, 1001-7, until 2030-01-31T18:01:00.000Z',
    )
    expect(answerOf(book, { outcome: 'sales_paused' })).toBe('refused, because the sale is paused')
  })

  it('names the event of each command if a line is shared', () => {
    const job = describeJob([
      { ...base, type: 'book' },
      { ...base, type: 'book', eventId: 5 },
    ])
    expect(job?.data).not.toHaveProperty('event')
    expect(job?.data.commands).toEqual([
      'ada: book a ticket, event Late show (1001)',
      'ada: book a ticket, event 5',
    ])
  })

  it('stays as it is if this build cannot read it', () => {
    expect(readableJob({ data: { v: 99 } }, nameOf)).toBeUndefined()
    expect(readableJob({ data: 'text' }, nameOf)).toBeUndefined()
  })
})
