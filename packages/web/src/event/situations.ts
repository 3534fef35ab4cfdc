import type { Claim, Claims, EndedClaim } from './claims.js'
import type { CommandState } from './commands.js'
import { availabilityOf } from './sale.js'
import type { Button, Known, Situation } from './view.js'

export function canceledEvent({ now, before, ended }: Claims): Situation {
  const was = ended?.was ?? (now?.standing === 'none' ? before?.standing : now?.standing) ?? 'none'
  return {
    kind: 'event_canceled',
    tone: 'bad',
    heading: 'This event is canceled',
    text: [LOST[was], 'If you have questions, ask the organizer.'],
    buttons: [],
  }
}

const LOST = {
  booked: 'Your booking ended with it. Your ticket is no longer valid.',
  held: 'The ticket that was held for you is gone.',
  waiting: 'Its waiting list has ended too.',
  none: 'Nobody can book it any more.',
} as const

/** The command is on its way. */
export function sending({
  command,
  isSlow,
}: Extract<CommandState, { kind: 'sending' }>): Situation {
  const heading = SENDING[command.action]
  const slow = [
    'This takes longer than usual. Perhaps many people are here. The page keeps trying.',
    'You may reload the page. Nothing is booked twice.',
  ]
  const text = isSlow ? slow : []
  return { kind: 'sending', tone: 'neutral', heading, text, buttons: [] }
}

const SENDING = { book: 'Booking…', confirm: 'Confirming…', cancel: 'Canceling…' } as const

/** The server has the command, and has not decided it yet. */
export function inLine(
  { ahead, etaSeconds }: Extract<CommandState, { kind: 'accepted' }>,
  { words }: Known,
): Situation {
  const text = ['We have your request. You need not send it again, and may reload the page.']
  if (etaSeconds !== null && etaSeconds > 0)
    text.unshift(`It takes about ${words.estimate(etaSeconds)}.`)
  const heading =
    ahead === null || ahead === 0
      ? 'It is your turn'
      : ahead === 1
        ? 'One request is ahead of yours'
        : `About ${words.number(ahead)} requests are ahead of yours`
  return { kind: 'in_line', tone: 'attention', heading, text, buttons: [] }
}

export function booked({ bookingId }: Claim, { claims: { before } }: Known): Situation {
  const text = []
  if (before?.standing === 'waiting') text.push(CAME_BACK)
  if (bookingId !== null) text.push(`The number of your booking is ${bookingId}.`)
  const cancel = secondary('cancel', 'Cancel my ticket', {
    title: 'Cancel your ticket?',
    text: 'Somebody else gets it. You cannot take this back.',
    yes: 'Yes, cancel it',
    no: 'Keep my ticket',
  })
  return { kind: 'booked', tone: 'good', heading: 'You have a ticket', text, buttons: [cancel] }
}

const CAME_BACK = 'A ticket came back, and you were next on the waiting list.'

export function held(claim: Claim, { event, nowMs, words }: Known): Situation {
  const { expiresAt, offered } = claim
  const isByStaff = event.confirmation === 'staff'
  const release = secondary('cancel', offered ? 'Decline the ticket' : 'Give the ticket back', {
    title: offered ? 'Decline the ticket?' : 'Give the ticket back?',
    text: 'Somebody else gets it. You cannot take this back.',
    yes: offered ? 'Yes, decline it' : 'Yes, give it back',
    no: 'Keep it',
  })
  const buttons = isByStaff ? [release] : [primary('confirm', 'Confirm'), release]
  if (expiresAt !== null && Date.parse(expiresAt) <= nowMs)
    return {
      kind: 'time_over',
      tone: 'bad',
      heading: `Your time ended ${words.when(expiresAt)}`,
      text: [
        isByStaff
          ? 'If you have paid, you may still get the ticket. This page shows it.'
          : 'You may still be in time. Confirm now.',
      ],
      buttons,
    }
  const until = expiresAt === null ? '' : ` until ${words.moment(expiresAt)}`
  const next = isByStaff
    ? [
        'The organizer has to confirm it by then, for example after your payment.',
        'This page shows it as soon as that has happened.',
      ]
    : ['Confirm it by then. Otherwise somebody else gets it.']
  return {
    kind: isByStaff ? 'held_for_staff' : 'held',
    tone: 'attention',
    heading: `A ticket is ${offered ? 'offered to' : 'held for'} you${until}`,
    text: offered ? [CAME_BACK, ...next] : next,
    ...(expiresAt !== null && { countdown: { label: 'Time left', until: expiresAt } }),
    buttons,
  }
}

export function waiting({ position }: Claim, known: Known): Situation {
  const heading =
    position === null
      ? 'You are on the waiting list'
      : position === 1
        ? 'You are next on the waiting list'
        : `You are ${known.words.ordinal(position)} on the waiting list`
  const leave = secondary('cancel', 'Leave the waiting list', {
    title: 'Leave the waiting list?',
    text: 'You lose your position. If you join again, you begin at the end.',
    yes: 'Yes, leave the list',
    no: 'Keep my position',
  })
  return {
    kind: 'waiting',
    tone: 'attention',
    heading,
    text: [futureOfList(known), 'You keep your position, even if you close this page.'],
    buttons: [leave],
  }
}

/** Whether and how the waiting list moves. */
function futureOfList(known: Known): string {
  const { state, event } = known
  if (state === 'scheduled') return 'The list moves once the sale is open.'
  if (state === 'paused') return 'The sale is paused. The list moves again when the sale goes on.'
  if (state === 'closed') return 'The sale has ended, so the list does not move any more.'
  if (event.promotion === 'off')
    return 'At the moment, tickets that come back are not given out. The order of the list stays.'
  return promise(known)
}

/** What somebody on the waiting list gets. */
function promise({ event, words }: Known): string {
  const { offerSeconds, holdSeconds, confirmation } = event
  const seconds = offerSeconds ?? holdSeconds
  const turn = 'When a ticket comes back and it is your turn, '
  if (seconds === null) return `${turn}it is yours at once.`
  const offer = `${turn}it is offered to you for ${words.duration(seconds)}.`
  return confirmation === 'staff' ? offer : `${offer} Confirm it in that time.`
}

/** What somebody without a claim can do. */
export function saleSituation(known: Known): Situation {
  const { event, state, words, nowMs } = known
  const { opensAt, closesAt } = event
  switch (state) {
    case 'scheduled': {
      // If the time has passed, the organizer has changed it, and the page will soon load it.
      const isKnown = opensAt !== null && Date.parse(opensAt) > nowMs
      return {
        kind: 'scheduled',
        tone: 'neutral',
        heading: isKnown ? `The sale opens ${words.when(opensAt)}` : 'The sale is not open yet',
        text: ['This page opens by itself. You need not reload it.'],
        ...(isKnown && { countdown: { label: 'Opens in', until: opensAt } }),
        buttons: [{ ...primary('book', 'Book a ticket'), isDisabled: true }],
      }
    }
    case 'paused':
      return {
        kind: 'paused',
        tone: 'attention',
        heading: 'The sale is paused',
        text: ['At the moment nobody can book. This page shows when the sale goes on.'],
        buttons: [],
      }
    case 'closed': {
      const isKnown = closesAt !== null && Date.parse(closesAt) <= nowMs
      const text = isKnown ? `It ended ${words.when(closesAt)}.` : 'Nothing is sold any more.'
      const heading = 'The sale has ended'
      return { kind: 'closed', tone: 'neutral', heading, text: [text], buttons: [] }
    }
    default:
      return openSale(known)
  }
}

function openSale(known: Known): Situation {
  const { event, tickets, words } = known
  const { held: heldTickets, waiting: people, total } = tickets
  const availability = availabilityOf(event, tickets)
  if (availability === 'tickets')
    return {
      kind: 'open',
      tone: 'good',
      heading: 'Tickets are on sale',
      text: [firstStep(known)],
      buttons: [primary('book', 'Book a ticket')],
    }
  const sale: Pick<Situation, 'tone' | 'heading' | 'buttons'> = {
    tone: 'neutral',
    heading: total === 0 ? 'There are no tickets yet' : 'Sold out',
    buttons: [],
  }
  const hope =
    heldTickets === 0
      ? []
      : [
          heldTickets === 1
            ? 'One ticket is held for somebody and may come back.'
            : `${words.number(heldTickets)} tickets are held for others and may come back.`,
        ]
  if (availability === 'full_list')
    return {
      ...sale,
      kind: 'full_list',
      text: [...hope, 'The waiting list is full too. This page shows when it has room.'],
    }
  if (availability === 'nothing')
    return {
      ...sale,
      kind: 'sold_out',
      text: [...hope, 'There is no waiting list. This page shows when a ticket comes back.'],
    }
  const length =
    people === 0
      ? 'Nobody is on it yet.'
      : people === 1
        ? 'One person is on it.'
        : `${words.number(people)} people are on it.`
  return {
    ...sale,
    kind: 'list',
    text: [...hope, `You can join the waiting list. ${length}`, promise(known)],
    buttons: [primary('book', 'Join the waiting list')],
  }
}

/** What booking a ticket means. */
function firstStep({ event: { holdSeconds, confirmation }, words }: Known): string {
  if (holdSeconds === null) return 'Each person can book one ticket.'
  const held = `A ticket is first held for you for ${words.duration(holdSeconds)}.`
  return confirmation === 'staff'
    ? `${held} Then the organizer confirms it.`
    : `${held} Confirm it in that time.`
}

/** What the user has lost, and then what they can do now. */
export function endedClaim(ended: EndedClaim, sale: Situation, known: Known): Situation {
  const { event, tickets, words } = known
  const { was, how, offered, bookingId, atMs } = ended
  const isNow = [`${sale.heading}.`, ...sale.text]
  if (how !== 'expired') {
    const doubt = how === 'canceled' ? ['If you did not do this, ask the organizer.'] : []
    return { ...sale, kind: 'claim_ended', heading: ENDED[was][how], text: [...doubt, ...isNow] }
  }
  const what = offered ? 'Your offer expired' : 'Your time to confirm ended'
  const heading = `${what} ${words.when(new Date(atMs).toISOString())}`
  const expired = { ...sale, kind: 'expired', tone: 'bad', heading } as const
  // A ticket is free only if nobody is on the waiting list, so nobody is overtaken.
  const mayConfirm = event.confirmation === 'holder' && bookingId !== null && tickets.free > 0
  if (!mayConfirm) return { ...expired, text: ['The ticket is no longer held for you.', ...isNow] }
  return {
    ...expired,
    text: ['A ticket is still free. If you confirm now, it is yours.'],
    buttons: [primary('confirm', 'Confirm late')],
  }
}

const ENDED = {
  booked: { withdrawn: 'Your ticket is canceled', canceled: 'Your ticket was canceled' },
  held: { withdrawn: 'You gave the ticket back', canceled: 'Your ticket is no longer held' },
  waiting: {
    withdrawn: 'You left the waiting list',
    canceled: 'You are no longer on the waiting list',
  },
} as const

function primary(does: Button['does'], label: string): Button {
  return { does, label, isPrimary: true, isDisabled: false }
}

function secondary(
  does: Button['does'],
  label: string,
  question: NonNullable<Button['question']>,
): Button {
  return { does, label, isPrimary: false, isDisabled: false, question }
}
