import { describe, expect, it } from 'vitest'
import { LATE_CONFIRMATION_MS, NO_CLAIMS } from './claims.js'
import type { CommandAction, CommandFailure, CommandState } from './commands.js'
import {
  commandOf,
  eventOf,
  factsOf,
  format,
  having,
  inMinutes,
  NOW_MS,
  statusOf,
} from './testing.js'
import { type EventView, nextChangeMs, tabTitleOf, viewOf } from './view.js'

const show = (facts: Parameters<typeof factsOf>[0] = {}): EventView =>
  viewOf(factsOf(facts), format)

const labels = ({ buttons }: EventView): string[] => buttons.map(({ label }) => label)

const signedOut = { session: { kind: 'signedOut' }, claims: NO_CLAIMS } as const

const failed = (
  code: CommandFailure['code'],
  more: Partial<CommandFailure> & { action?: CommandAction } = {},
): CommandState => {
  const { action = 'book', ...failure } = more
  return {
    kind: 'failed',
    command: commandOf(action),
    failure: { code, retryAtMs: null, atMs: NOW_MS, ...failure },
  }
}

describe('a visitor without a claim', () => {
  it('sees how many tickets are left, and can book one', () => {
    const view = show()
    expect(view).toMatchObject({
      kind: 'open',
      heading: 'Tickets are on sale',
      text: ['Each person can book one ticket.'],
      tickets: { total: 100, free: 42, booked: 58, held: 0, waiting: 0 },
    })
    expect(view.buttons).toEqual([
      { does: 'book', label: 'Book a ticket', isPrimary: true, isDisabled: false },
    ])
    expect(view).not.toHaveProperty('notice')
    expect(view).not.toHaveProperty('signIn')
    expect(view).not.toHaveProperty('connection')
  })

  it('sees the numbers of the stream if they are newer than the event', () => {
    expect(show({ status: statusOf({ availableTickets: 1 }) }).tickets?.free).toBe(1)
    const old = statusOf({ availableTickets: 1, serverTime: inMinutes(-9) })
    expect(show({ status: old }).tickets?.free).toBe(42)
  })

  it('learns before booking that the ticket is held first', () => {
    expect(show({ event: { holdSeconds: 600 } }).text).toEqual([
      'A ticket is first held for you for 10 minutes. Confirm it in that time.',
    ])
    expect(show({ event: { holdSeconds: 90, confirmation: 'staff' } }).text).toEqual([
      'A ticket is first held for you for 90 seconds. Then the organizer confirms it.',
    ])
  })

  it('sees a countdown before the sale, and a button that works when it opens', () => {
    const view = show({ event: { state: 'scheduled', opensAt: inMinutes(30) } })
    expect(view).toMatchObject({
      kind: 'scheduled',
      heading: 'The sale opens at 6:30 PM',
      text: ['This page opens by itself. You need not reload it.'],
      countdown: { label: 'Opens in', until: inMinutes(30) },
    })
    expect(view.buttons).toMatchObject([{ does: 'book', isDisabled: true }])
  })

  it('sees the day of the opening unless that is today', () => {
    const view = show({ event: { state: 'scheduled', opensAt: inMinutes(24 * 60) } })
    expect(view.heading).toBe('The sale opens on Feb 1, 6:00 PM')
  })

  it('can book at the opening time, although the server has not said that it is open', () => {
    const event = { state: 'scheduled', opensAt: inMinutes(0) } as const
    expect(show({ event }).kind).toBe('open')
    const status = statusOf({ state: 'scheduled' })
    expect(show({ event, status })).toMatchObject({
      kind: 'open',
      buttons: [{ isDisabled: false }],
    })
  })

  it('sees no countdown if the server says later that the sale is not open', () => {
    const view = show({
      event: { state: 'scheduled', opensAt: inMinutes(-2) },
      status: statusOf({ state: 'scheduled', serverTime: inMinutes(-1) }),
    })
    expect(view).toMatchObject({ kind: 'scheduled', heading: 'The sale is not open yet' })
    expect(view).not.toHaveProperty('countdown')
  })

  it('sees at the opening time that the sale is paused or closed', () => {
    const event = { state: 'scheduled', opensAt: inMinutes(-1) } as const
    expect(show({ event: { ...event, sales: 'paused' } }).kind).toBe('paused')
    expect(show({ event: { ...event, closesAt: inMinutes(-1) } }).kind).toBe('closed')
  })

  it('can join the waiting list when nothing is left', () => {
    const view = show({ event: { availableTickets: 0, waitingListCount: 16, heldTickets: 3 } })
    expect(view).toMatchObject({
      kind: 'list',
      heading: 'Sold out',
      text: [
        '3 tickets are held for others and may come back.',
        'You can join the waiting list. 16 people are on it.',
        'When a ticket comes back and it is your turn, it is yours at once.',
      ],
    })
    expect(labels(view)).toEqual(['Join the waiting list'])
  })

  it('learns what an offer to the waiting list means', () => {
    const soldOut = { availableTickets: 0, waitingListCount: 1, heldTickets: 1 }
    expect(show({ event: { ...soldOut, offerSeconds: 3600 } }).text).toEqual([
      'One ticket is held for somebody and may come back.',
      'You can join the waiting list. One person is on it.',
      'When a ticket comes back and it is your turn, it is offered to you for 1 hour. Confirm it in that time.',
    ])
    const byStaff = { ...soldOut, holdSeconds: 600, confirmation: 'staff' } as const
    expect(show({ event: byStaff }).text.at(-1)).toBe(
      'When a ticket comes back and it is your turn, it is offered to you for 10 minutes.',
    )
  })

  it('can only wait for tickets if the event has none', () => {
    const view = show({ event: { totalTickets: 0, availableTickets: 0 } })
    expect(view).toMatchObject({ kind: 'list', heading: 'There are no tickets yet' })
    expect(view.text[0]).toBe('You can join the waiting list. Nobody is on it yet.')
  })

  it('can do nothing if the waiting list is full', () => {
    const view = show({ event: { availableTickets: 0, waitingListCount: 5, maxWaiting: 5 } })
    expect(view).toMatchObject({
      kind: 'full_list',
      heading: 'Sold out',
      text: ['The waiting list is full too. This page shows when it has room.'],
      buttons: [],
    })
  })

  it('can join a bounded list that has room', () => {
    const event = { availableTickets: 0, waitingListCount: 4, maxWaiting: 5 }
    expect(show({ event }).kind).toBe('list')
  })

  it('can do nothing if everything is sold and there is no list', () => {
    expect(show({ event: { availableTickets: 0, maxWaiting: 0 } })).toMatchObject({
      kind: 'sold_out',
      text: ['There is no waiting list. This page shows when a ticket comes back.'],
      buttons: [],
    })
  })

  it('sees that the sale is paused', () => {
    expect(show({ status: statusOf({ state: 'paused' }) })).toMatchObject({
      kind: 'paused',
      heading: 'The sale is paused',
      buttons: [],
    })
  })

  it('sees that and when the sale has closed', () => {
    const view = show({ event: { closesAt: inMinutes(-1) } })
    expect(view).toMatchObject({ kind: 'closed', text: ['It ended at 5:59 PM.'], buttons: [] })
    const early = show({ status: statusOf({ state: 'closed' }), event: { closesAt: inMinutes(9) } })
    expect(early.text).toEqual(['Nothing is sold any more.'])
  })

  it('sees that the event is canceled', () => {
    expect(show({ status: statusOf({ state: 'canceled' }) })).not.toHaveProperty('tickets')
    expect(show({ status: statusOf({ state: 'canceled' }) })).toMatchObject({
      kind: 'event_canceled',
      heading: 'This event is canceled',
      text: ['Nobody can book it any more.', 'If you have questions, ask the organizer.'],
      buttons: [],
    })
  })

  it('sees no buttons until the page knows what they have', () => {
    const claims = NO_CLAIMS
    expect(show({ claims, connection: 'connecting' }).buttons).toEqual([])
    expect(show({ claims, connection: 'live' }).buttons).toEqual([])
    expect(labels(show({ claims, connection: 'lost' }))).toEqual(['Book a ticket'])
  })
})

describe('the owner of a booking', () => {
  const claims = having({ standing: 'booked', bookingId: '1001-7' })

  it('sees it and can cancel it after a question', () => {
    const view = show({ claims })
    expect(view).toMatchObject({
      kind: 'booked',
      heading: 'You have a ticket',
      text: ['The number of your booking is 1001-7.'],
    })
    expect(view.buttons).toMatchObject([
      { does: 'cancel', label: 'Cancel my ticket', question: { no: 'Keep my ticket' } },
    ])
  })

  it('learns that it came from the waiting list', () => {
    const before = having({ standing: 'waiting', position: 1 }).now
    expect(show({ claims: { ...claims, before } }).text[0]).toBe(
      'A ticket came back, and you were next on the waiting list.',
    )
  })

  it.each(['scheduled', 'paused', 'closed'] as const)('keeps it while the sale is %s', (state) => {
    expect(labels(show({ claims, status: statusOf({ state }) }))).toEqual(['Cancel my ticket'])
  })

  it('learns that it ended with the event', () => {
    const status = statusOf({ state: 'canceled' })
    const text = 'Your booking ended with it. Your ticket is no longer valid.'
    expect(show({ claims, status })).toMatchObject({ kind: 'event_canceled', buttons: [] })
    expect(show({ claims, status }).text[0]).toBe(text)
    const ended = {
      was: 'booked',
      how: 'canceled',
      bookingId: '1001-7',
      offered: false,
      atMs: NOW_MS,
    } as const
    expect(show({ claims: { ...having({}), ended }, status }).text[0]).toBe(text)
  })

  it('learns that it was canceled, and whether this page did it', () => {
    const ended = { was: 'booked', bookingId: '1001-7', offered: false, atMs: NOW_MS } as const
    const own = show({ claims: { ...having({}), ended: { ...ended, how: 'withdrawn' } } })
    expect(own).toMatchObject({
      kind: 'claim_ended',
      heading: 'Your ticket is canceled',
      text: ['Tickets are on sale.', 'Each person can book one ticket.'],
    })
    expect(labels(own)).toEqual(['Book a ticket'])
    const other = show({ claims: { ...having({}), ended: { ...ended, how: 'canceled' } } })
    expect(other.heading).toBe('Your ticket was canceled')
    expect(other.text[0]).toBe('If you did not do this, ask the organizer.')
  })

  it('sees the sale like everybody else a day after it was canceled', () => {
    const ended = { was: 'booked', how: 'canceled', bookingId: null, offered: false } as const
    const atMs = NOW_MS - LATE_CONFIRMATION_MS
    expect(show({ claims: { ...having({}), ended: { ...ended, atMs } } }).kind).toBe('open')
  })
})

describe('somebody for whom a ticket is held', () => {
  const hold = { standing: 'held', bookingId: '1001-7', expiresAt: inMinutes(30) } as const

  it('sees until when, and can confirm it or give it back', () => {
    const view = show({ claims: having(hold) })
    expect(view).toMatchObject({
      kind: 'held',
      heading: 'A ticket is held for you until 6:30 PM',
      text: ['Confirm it by then. Otherwise somebody else gets it.'],
      countdown: { label: 'Time left', until: inMinutes(30) },
    })
    expect(view.buttons).toMatchObject([
      { does: 'confirm', label: 'Confirm', isPrimary: true },
      { does: 'cancel', label: 'Give the ticket back', isPrimary: false },
    ])
  })

  it('cannot confirm it if the organizer does', () => {
    const view = show({ claims: having(hold), event: { confirmation: 'staff' } })
    expect(view).toMatchObject({ kind: 'held_for_staff', countdown: { until: inMinutes(30) } })
    expect(view.text[0]).toBe(
      'The organizer has to confirm it by then, for example after your payment.',
    )
    expect(labels(view)).toEqual(['Give the ticket back'])
  })

  it('sees an offer, and can decline it', () => {
    const view = show({ claims: having({ ...hold, offered: true }) })
    expect(view.heading).toBe('A ticket is offered to you until 6:30 PM')
    expect(view.text[0]).toBe('A ticket came back, and you were next on the waiting list.')
    expect(labels(view)).toEqual(['Confirm', 'Decline the ticket'])
  })

  it('sees the day until which an offer lasts unless that is today', () => {
    const claims = having({ ...hold, expiresAt: inMinutes(48 * 60), offered: true })
    expect(show({ claims }).heading).toBe('A ticket is offered to you until Feb 2, 6:00 PM')
  })

  it('can still confirm it after its time, as long as the server has not ended it', () => {
    const claims = having({ ...hold, expiresAt: inMinutes(0) })
    const view = show({ claims })
    expect(view).toMatchObject({ kind: 'time_over', heading: 'Your time ended at 6:00 PM' })
    expect(view).not.toHaveProperty('countdown')
    expect(labels(view)).toEqual(['Confirm', 'Give the ticket back'])
    const byStaff = show({ claims, event: { confirmation: 'staff' } })
    expect(byStaff.text).toEqual([
      'If you have paid, you may still get the ticket. This page shows it.',
    ])
    expect(labels(byStaff)).toEqual(['Give the ticket back'])
  })

  it.each(['scheduled', 'paused', 'closed'] as const)(
    'can confirm it while the sale is %s',
    (state) => {
      const view = show({ claims: having(hold), status: statusOf({ state }) })
      expect(labels(view)).toContain('Confirm')
    },
  )
})

describe('somebody whose hold has expired', () => {
  const ended = {
    was: 'held',
    how: 'expired',
    bookingId: '1001-7',
    offered: false,
    atMs: NOW_MS - 60_000,
  } as const
  const claims = { ...having({}), ended }

  it('can confirm late while a ticket is free', () => {
    const view = show({ claims })
    expect(view).toMatchObject({
      kind: 'expired',
      heading: 'Your time to confirm ended at 5:59 PM',
      text: ['A ticket is still free. If you confirm now, it is yours.'],
    })
    expect(view.buttons).toMatchObject([{ does: 'confirm', label: 'Confirm late' }])
  })

  it.each(['paused', 'closed'] as const)('can confirm late while the sale is %s', (state) => {
    expect(labels(show({ claims, status: statusOf({ state }) }))).toEqual(['Confirm late'])
  })

  it('can join the list if no ticket is free', () => {
    const view = show({ claims, event: { availableTickets: 0 } })
    expect(view).toMatchObject({
      kind: 'expired',
      heading: 'Your time to confirm ended at 5:59 PM',
    })
    expect(view.text.slice(0, 2)).toEqual(['The ticket is no longer held for you.', 'Sold out.'])
    expect(labels(view)).toEqual(['Join the waiting list'])
  })

  it('can book again if only the organizer confirms', () => {
    const view = show({ claims, event: { confirmation: 'staff', holdSeconds: 600 } })
    expect(labels(view)).toEqual(['Book a ticket'])
  })

  it('learns that an offer ended', () => {
    const view = show({ claims: { ...claims, ended: { ...ended, offered: true } } })
    expect(view.heading).toBe('Your offer expired at 5:59 PM')
  })

  it('cannot confirm late after 24 hours', () => {
    const atMs = NOW_MS - LATE_CONFIRMATION_MS
    expect(labels(show({ claims: { ...claims, ended: { ...ended, atMs } } }))).toEqual([
      'Book a ticket',
    ])
  })
})

describe('somebody on the waiting list', () => {
  const claims = having({ standing: 'waiting', position: 17 })

  it('sees their position and can leave', () => {
    const view = show({ claims })
    expect(view).toMatchObject({
      kind: 'waiting',
      heading: 'You are 17th on the waiting list',
      text: [
        'When a ticket comes back and it is your turn, it is yours at once.',
        'You keep your position, even if you close this page.',
      ],
    })
    expect(view.buttons).toMatchObject([{ does: 'cancel', question: { no: 'Keep my position' } }])
  })

  it.each([
    [1, 'You are next on the waiting list'],
    [2, 'You are 2nd on the waiting list'],
    [3, 'You are 3rd on the waiting list'],
    [11, 'You are 11th on the waiting list'],
    [21, 'You are 21st on the waiting list'],
    [1234, 'You are 1,234th on the waiting list'],
    [null, 'You are on the waiting list'],
  ])('reads position %s in words', (position, heading) => {
    expect(show({ claims: having({ standing: 'waiting', position }) }).heading).toBe(heading)
  })

  it.each([
    ['paused', 'The sale is paused. The list moves again when the sale goes on.'],
    ['closed', 'The sale has ended, so the list does not move any more.'],
    ['scheduled', 'The list moves once the sale is open.'],
  ] as const)('learns what happens to the list while the sale is %s', (state, text) => {
    expect(show({ claims, status: statusOf({ state }) }).text[0]).toBe(text)
  })

  it('learns that promotion is stopped', () => {
    expect(show({ claims, event: { promotion: 'off' } }).text[0]).toBe(
      'At the moment, tickets that come back are not given out. The order of the list stays.',
    )
  })
})

describe('a command', () => {
  const command = commandOf()

  it('is shown while it is sent, without buttons', () => {
    const view = show({ command: { kind: 'sending', command, isSlow: false } })
    expect(view).toMatchObject({ kind: 'sending', heading: 'Booking…', text: [], buttons: [] })
  })

  it('is shown as safe to reload if it takes long', () => {
    const view = show({ command: { kind: 'sending', command, isSlow: true } })
    expect(view.text).toContain('You may reload the page. Nothing is booked twice.')
  })

  it('shows how many requests are ahead and how long it takes', () => {
    const accepted = { kind: 'accepted', command, ahead: 1234, etaSeconds: 41 } as const
    expect(show({ command: accepted })).toMatchObject({
      kind: 'in_line',
      heading: 'About 1,234 requests are ahead of yours',
      text: [
        'It takes about 45 seconds.',
        'We have your request. You need not send it again, and may reload the page.',
      ],
      buttons: [],
    })
    const long = show({ command: { ...accepted, ahead: 1, etaSeconds: 130 } })
    expect(long.heading).toBe('One request is ahead of yours')
    expect(long.text[0]).toBe('It takes about 3 minutes.')
  })

  it('shows no time if it is unknown, and that it is its turn if none is ahead', () => {
    const accepted = { kind: 'accepted', command, ahead: 0, etaSeconds: null } as const
    expect(show({ command: accepted })).toMatchObject({
      heading: 'It is your turn',
      text: ['We have your request. You need not send it again, and may reload the page.'],
    })
  })

  it('leaves no notice once it has succeeded', () => {
    const decided = { kind: 'decided', command, outcome: 'booked' } as const
    const claims = having({ standing: 'booked', bookingId: '1001-7' })
    expect(show({ command: decided, claims })).not.toHaveProperty('notice')
  })

  it.each([
    [
      'already_booked',
      { standing: 'booked', bookingId: '1001-7' },
      'You already had a ticket. Nothing was booked twice.',
    ],
    [
      'already_held',
      { standing: 'held', expiresAt: inMinutes(5) },
      'A ticket was already held for you. Nothing was booked twice.',
    ],
    [
      'already_waiting',
      { standing: 'waiting', position: 3 },
      'You were already on the waiting list. You keep your position.',
    ],
  ] as const)('that asks for what the user already has says so: %s', (code, claim, text) => {
    const view = show({ command: failed(code), claims: having(claim) })
    expect(view.notice).toEqual({ tone: 'neutral', text })
  })

  it.each([
    ['sales_not_open', { state: 'scheduled', opensAt: inMinutes(5) }],
    ['sales_paused', { state: 'paused' }],
    ['sales_closed', { state: 'closed' }],
    ['sold_out', { availableTickets: 0, maxWaiting: 0 }],
    ['waiting_list_full', { availableTickets: 0, maxWaiting: 1, waitingListCount: 1 }],
  ] as const)(
    'that was refused leaves a notice as long as it explains the page: %s',
    (code, event) => {
      const command = failed(code, { atMs: Date.parse(inMinutes(-3)) })
      expect(show({ command, event }).notice?.tone).toBe('bad')
      // The stream says something newer.
      expect(show({ command, status: statusOf() })).not.toHaveProperty('notice')
    },
  )

  it('that was refused leaves a notice until the stream says the same', () => {
    expect(show({ command: failed('sales_paused') })).toMatchObject({
      kind: 'open',
      notice: { text: 'The sale was paused before your request arrived. Nothing was booked.' },
    })
  })

  it('that came too late says so', () => {
    const ended = {
      was: 'held',
      how: 'expired',
      bookingId: '1001-7',
      offered: false,
      atMs: NOW_MS,
    } as const
    const view = show({
      command: failed('hold_expired', { action: 'confirm' }),
      claims: { ...having({}), ended },
      event: { availableTickets: 0 },
    })
    expect(view.notice?.text).toBe('You were too late. No ticket is free any more.')
    expect(labels(view)).toEqual(['Join the waiting list'])
  })

  it.each([
    ['booking_not_found', 'There was nothing to change any more.'],
    ['forbidden', 'Only the organizer can do this. Nothing was changed.'],
    ['rejected', 'That did not work, and nothing was changed. Please try again.'],
  ] as const)('that changed nothing says so: %s', (code, text) => {
    expect(show({ command: failed(code) })).toMatchObject({
      notice: { tone: 'bad', text },
      buttons: [{ does: 'book' }],
    })
  })

  it.each(['no_answer', 'unknown', 'unexpected_answer', 'internal'] as const)(
    'whose outcome is unknown can be sent again without booking twice: %s',
    (code) => {
      const view = show({ command: failed(code) })
      expect(view.notice?.text).toMatch(/Send it again\. Nothing is booked twice\.$/)
      expect(view.buttons).toEqual([
        { does: 'repeat', label: 'Try to book again', isPrimary: true, isDisabled: false },
      ])
    },
  )

  it('that found the service busy is sent again when the server allows it', () => {
    const busy = failed('busy', { retryAtMs: NOW_MS + 60_000 })
    const view = show({ command: busy })
    expect(view.notice?.text).toBe(
      'The service is very busy. Nothing has changed. Try again at 6:01 PM.',
    )
    expect(view.buttons).toMatchObject([{ does: 'repeat', isDisabled: true }])
    const later = show({ command: busy, nowMs: NOW_MS + 60_000 })
    expect(later.notice?.text).toMatch(/Please try again\.$/)
    expect(later.buttons).toMatchObject([{ does: 'repeat', isDisabled: false }])
  })

  it('that exceeds the rate limit says when the next one is possible', () => {
    const view = show({ command: failed('rate_limited', { retryAtMs: NOW_MS + 900_000 }) })
    expect(view.notice?.text).toBe('You have sent too many requests. Try again at 6:15 PM.')
    expect(view.buttons).toMatchObject([{ does: 'repeat', isDisabled: true }])
  })

  it('that cannot be repeated now does not hide the other button', () => {
    const view = show({
      command: failed('unavailable', { action: 'confirm' }),
      claims: having({ standing: 'held', expiresAt: inMinutes(9), bookingId: '1001-7' }),
    })
    expect(view.buttons).toMatchObject([
      { does: 'repeat', label: 'Try to confirm again', isPrimary: true },
      { does: 'cancel', isPrimary: false },
    ])
  })

  it.each([
    ['book', { standing: 'booked' }],
    ['book', { standing: 'waiting', position: 3 }],
    ['confirm', { standing: 'booked' }],
    ['cancel', { standing: 'none' }],
  ] as const)(
    'whose answer was lost is no longer a problem once the stream shows its effect: %s',
    (action, claim) => {
      const view = show({ command: failed('no_answer', { action }), claims: having(claim) })
      expect(view).not.toHaveProperty('notice')
      expect(view.buttons.map(({ does }) => does)).not.toContain('repeat')
    },
  )
})

describe('a visitor who is not signed in', () => {
  it.each([
    [{}, 'Sign in to book a ticket.'],
    [{ availableTickets: 0 }, 'Sign in to join the waiting list.'],
    [
      { state: 'scheduled', opensAt: inMinutes(5) },
      'Sign in now, so that you can book as soon as the sale opens.',
    ],
    [{ state: 'paused' }, 'Sign in to see what you have for this event.'],
  ] as const)('sees the sale and why to sign in', (event, signIn) => {
    expect(show({ ...signedOut, event })).toMatchObject({ signIn, buttons: [] })
  })

  it('need not sign in to see that the event is canceled', () => {
    expect(show({ ...signedOut, event: { state: 'canceled' } })).not.toHaveProperty('signIn')
  })

  it('sees neither buttons nor the sign-in while the page restores a session', () => {
    const view = show({ session: { kind: 'loading' }, claims: NO_CLAIMS })
    expect(view).toMatchObject({ kind: 'open', buttons: [] })
    expect(view).not.toHaveProperty('signIn')
  })
})

describe('a page without connection', () => {
  it('says when its numbers were true', () => {
    expect(show({ connection: 'lost', status: statusOf() }).connection).toBe(
      'The connection is lost. You see what was true at 5:59 PM. The page connects again by itself.',
    )
    expect(show({ isOnline: false }).connection).toBe(
      'You are offline. The page connects again by itself.',
    )
  })

  it('says when it may connect again if it did so too often', () => {
    const limitedUntilMs = NOW_MS + 600_000
    expect(show({ connection: 'lost', limitedUntilMs }).connection).toBe(
      'You have sent too many requests, or opened too many pages. This one is not live before 6:10 PM.',
    )
  })

  it('keeps its buttons', () => {
    expect(labels(show({ connection: 'lost', isOnline: false }))).toEqual(['Book a ticket'])
  })
})

describe('a page without its event', () => {
  const { event: _event, ...rest } = factsOf()

  it('says that there is no such event', () => {
    const view = viewOf({ ...rest, event: { kind: 'failed', isUnknown: true } }, format)
    expect(view).toMatchObject({ kind: 'unknown_event', heading: 'There is no such event' })
  })

  it('says that the event could not be loaded', () => {
    const view = viewOf({ ...rest, event: { kind: 'failed', isUnknown: false } }, format)
    expect(view).toMatchObject({ kind: 'failed', buttons: [] })
  })

  it('says that it is loading', () => {
    expect(viewOf({ ...rest, event: { kind: 'loading' } }, format).kind).toBe('loading')
  })
})

describe('the next change by time', () => {
  it('is when the sale opens or closes', () => {
    const event = { state: 'scheduled', opensAt: inMinutes(5), closesAt: inMinutes(60) } as const
    expect(nextChangeMs(factsOf({ event }))).toBe(NOW_MS + 300_000)
    expect(nextChangeMs(factsOf({ event, nowMs: NOW_MS + 300_000 }))).toBe(NOW_MS + 3_600_000)
  })

  it('is when a hold ends, when a late confirmation ends, or when a command may be repeated', () => {
    const held = having({ standing: 'held', expiresAt: inMinutes(10) })
    expect(nextChangeMs(factsOf({ claims: held }))).toBe(NOW_MS + 600_000)
    const ended = {
      was: 'held',
      how: 'expired',
      bookingId: null,
      offered: false,
      atMs: NOW_MS,
    } as const
    expect(nextChangeMs(factsOf({ claims: { ...having({}), ended } }))).toBe(
      NOW_MS + LATE_CONFIRMATION_MS,
    )
    const command = failed('busy', { retryAtMs: NOW_MS + 1000 })
    expect(nextChangeMs(factsOf({ command }))).toBe(NOW_MS + 1000)
  })

  it('does not exist for an open event without an end', () => {
    expect(nextChangeMs(factsOf())).toBeUndefined()
    expect(nextChangeMs({ ...factsOf(), event: { kind: 'loading' } })).toBeUndefined()
    expect(
      nextChangeMs({ ...factsOf(), event: { kind: 'loaded', event: eventOf() } }),
    ).toBeUndefined()
  })
})

describe('the title of the tab', () => {
  it('shows what happens to somebody who looks at another tab', () => {
    const waiting = show({ claims: having({ standing: 'waiting', position: 17 }) })
    expect(tabTitleOf(waiting, 'Concert')).toBe('You are 17th on the waiting list – Concert')
    expect(tabTitleOf(show(), 'Concert')).toBe('Tickets are on sale – Concert')
    expect(tabTitleOf({ ...show(), kind: 'loading' }, 'Concert')).toBe('Concert')
  })
})
