import { type CancelDecision, type GrantDecision, hasCode } from '@ticket-line/client'

/** What staff can do with a person in one of the lists. */
export type StaffAction = 'remove' | 'confirm' | 'extend' | 'grant'

/** What became of a person that staff removed. */
export function removedText({ outcome, userId, promotedUserId }: CancelDecision): string {
  const next =
    promotedUserId === undefined
      ? ''
      : ` The ticket goes to ${promotedUserId}, who was next on the waiting list.`
  switch (outcome) {
    case 'canceled':
      return `The booking of ${userId} is canceled.${next}`
    case 'released':
      return `The held ticket of ${userId} is released.${next}`
    case 'withdrawn':
      return `${userId} is no longer on the waiting list.`
  }
}

/** What became of a person to whom staff gave a ticket. */
export function grantedText({ outcome, userId, bookingId }: GrantDecision): string {
  return outcome === 'confirmed'
    ? `The held ticket of ${userId} is now a booking (${bookingId}).`
    : `${userId} has a ticket now (${bookingId}).`
}

/**
 * Why an action of staff for a person was refused, and what to do next.
 *
 * @returns undefined if the reason has nothing to do with the person's claim
 */
export function refusalText(
  error: unknown,
  action: StaffAction,
  userId: string,
): string | undefined {
  if (!hasCode(error)) return undefined
  switch (error.code) {
    case 'already_booked':
      return action === 'grant'
        ? `${userId} already has a ticket.`
        : `${userId} has already confirmed the ticket. Reload the list.`
    case 'already_waiting':
      return `The hold of ${userId} is over, and they are on the waiting list now. Reload the list.`
    case 'booking_not_found':
      return `${userId} has no ticket and is not on the waiting list any more. Reload the list.`
    case 'hold_expired':
      return action === 'remove'
        ? `What ${userId} has is not what the list shows. Reload the list.`
        : `The hold of ${userId} has expired, and no ticket is free.`
    case 'hold_limit_reached':
      return `The hold of ${userId} already lasts as long as the settings of this event allow.`
    case 'sold_out':
      return 'No ticket is free. Make the event larger, here or in its settings.'
    case 'event_canceled':
      return 'This event is canceled, so its tickets and its waiting list cannot change any more.'
    default:
      return undefined
  }
}
