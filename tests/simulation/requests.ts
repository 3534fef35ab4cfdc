import type { CommandRequest } from '@ticket-line/shared'
import type { Random } from '../random.ts'
import { POISON } from './world.ts'

export interface RequestPlan {
  events: number
  users: number
  /** Whether some commands kill the workers that decide them. */
  poison: boolean
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
export function chooseRequests(random: Random, plan: RequestPlan): () => CommandRequest {
  let poisonLeft = plan.poison ? 2 : 0
  return () => {
    const eventId = random.chance(0.01) ? 99 : random.between(1, plan.events)
    const caller = `user-${random.between(1, plan.users)}`
    if (poisonLeft > 0 && random.chance(0.01)) {
      poisonLeft -= 1
      return { type: 'book', eventId, userId: POISON, caller }
    }
    const request: CommandRequest = {
      type: random.chance(0.35) ? 'cancel' : 'book',
      eventId,
      userId: caller,
      caller,
    }
    if (random.chance(0.25)) request.keyHash = `key-${random.between(1, 6)}`
    return request
  }
}
