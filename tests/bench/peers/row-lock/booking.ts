import type { PeerOutcome } from '../settings.ts'
import type { Models } from './models.ts'

/** Books and cancels. Each call is a transaction that locks the event's row. */
export function createBooking({ sequelize, TicketedEvent, Booking, WaitingEntry }: Models) {
  return {
    book: (eventId: number, userId: string): Promise<PeerOutcome> =>
      sequelize.transaction(async (transaction) => {
        const event = await TicketedEvent.findByPk(eventId, {
          transaction,
          lock: transaction.LOCK.UPDATE,
        })
        if (event === null) return 'event_not_found'
        const where = { eventId, userId }
        if ((await Booking.findOne({ where, transaction })) !== null) return 'already_booked'
        if (event.availableTickets > 0) {
          await event.update({ availableTickets: event.availableTickets - 1 }, { transaction })
          await Booking.create(where, { transaction })
          return 'booked'
        }
        if ((await WaitingEntry.findOne({ where, transaction })) !== null) return 'already_waiting'
        await WaitingEntry.create(where, { transaction })
        return 'waiting'
      }),

    cancel: (eventId: number, userId: string): Promise<PeerOutcome> =>
      sequelize.transaction(async (transaction) => {
        const event = await TicketedEvent.findByPk(eventId, {
          transaction,
          lock: transaction.LOCK.UPDATE,
        })
        if (event === null) return 'event_not_found'
        const where = { eventId, userId }
        if ((await Booking.destroy({ where, transaction })) === 0) {
          return (await WaitingEntry.destroy({ where, transaction })) === 0
            ? 'booking_not_found'
            : 'withdrawn'
        }
        const next = await WaitingEntry.findOne({
          where: { eventId },
          order: [['id', 'ASC']],
          transaction,
        })
        if (next === null) {
          await event.update({ availableTickets: event.availableTickets + 1 }, { transaction })
        } else {
          await next.destroy({ transaction })
          await Booking.create({ eventId, userId: next.userId }, { transaction })
        }
        return 'canceled'
      }),
  }
}
