import type { CommandRequest } from '@ticket-line/shared'
import type { Random } from '../random.ts'
import { choosePatch } from './sale-settings.ts'
import { POISON } from './world.ts'

export interface RequestPlan {
  events: number
  users: number
  /** Whether some commands kill the workers that decide them. */
  poison: boolean
  /** Whether all types of commands occur, instead of `book` and `cancel` only. */
  sale: boolean
}

/** What clients know when they make a request. */
export interface ClientKnowledge {
  nowMs(): number
  /** The last booking or hold of a user that an answer named. */
  bookingIdOf(eventId: number, userId: string): string | undefined
}

/** Sizes of the bursts in which the requests arrive. */
export function burstsOf(random: Random, commands: number): number[] {
  const bursts: number[] = []
  for (let planned = 0; planned < commands; planned += bursts.at(-1) as number)
    bursts.push(
      random.weighted([
        [6, 1],
        [3, random.between(2, 12)],
        [1, random.between(20, 300)],
      ]),
    )
  return bursts
}

/** @returns a function that returns a new random request on each call */
export function chooseRequests(
  random: Random,
  plan: RequestPlan,
  known: ClientKnowledge,
): () => CommandRequest {
  let poisonLeft = plan.poison ? 2 : 0
  return () => {
    const eventId = random.chance(0.01) ? 99 : random.between(1, plan.events)
    const caller = `user-${random.between(1, plan.users)}`
    if (poisonLeft > 0 && random.chance(0.01)) {
      poisonLeft -= 1
      return { type: 'book', eventId, userId: POISON, caller }
    }
    const request: CommandRequest = plan.sale
      ? saleRequest(random, eventId, caller, known)
      : {
          type: random.chance(0.35) ? 'cancel' : 'book',
          eventId,
          userId: caller,
          caller,
        }
    if (random.chance(0.25)) {
      // Staff sends far more commands than a user.
      request.keyHash = `key-${random.between(1, request.caller === 'staff' ? 60 : 6)}`
      const { type, eventId: _, userId, caller: by, keyHash, ...members } = request
      if (Object.keys(members).length > 0) request.requestHash = JSON.stringify(members)
    }
    return request
  }
}

function saleRequest(
  random: Random,
  eventId: number,
  userId: string,
  known: ClientKnowledge,
): CommandRequest {
  const of = { eventId, userId, caller: userId }
  const byStaff = { eventId, userId, caller: 'staff' }
  const bookingId = random.chance(0.5) ? known.bookingIdOf(eventId, userId) : undefined
  const named = bookingId === undefined ? {} : { bookingId }
  const type = random.weighted([
    [42, 'book' as const],
    [15, 'cancel' as const],
    [20, 'confirm' as const],
    [8, 'extend' as const],
    [6, 'grant' as const],
    [8.7, 'configure' as const],
    [0.3, 'cancel_event' as const],
  ])
  switch (type) {
    case 'book':
      return { type, ...of }
    case 'cancel':
    case 'confirm':
      return { type, ...of, ...named }
    case 'extend':
      return {
        type,
        ...byStaff,
        ...named,
        ...(random.chance(0.5) && { seconds: random.between(1, 6) }),
      }
    case 'grant':
      return { type, ...byStaff, ...(random.chance(0.3) && { raiseCapacity: true }) }
    case 'configure':
      return {
        type,
        ...byStaff,
        userId: 'staff',
        patch: choosePatch(random, known.nowMs()),
        ...(random.chance(0.6) && { shrink: true }),
        ...(random.chance(0.1) && { ifVersion: random.between(1, 20) }),
      }
    case 'cancel_event':
      return { type, ...byStaff, userId: 'staff' }
  }
}
