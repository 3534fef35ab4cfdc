import type { CommandType, EventPatch } from '@ticket-line/shared'
import type { Random } from '../random.ts'
import type { NaiveEvent, NaiveRequest } from './naive-model.ts'

/** The members of a command that only some types have. */
export type Members = Omit<NaiveRequest, 'type' | 'userId'>

/** Settings with which an event begins. */
export function chooseSettings(random: Random, nowMs: number): EventPatch {
  const settings: EventPatch = {}
  for (const name of RULES) {
    const isHold = name === 'holdSeconds' || name === 'offerSeconds'
    if (random.chance(isHold ? 0.6 : 0.2)) Object.assign(settings, ruleOf(name, random, nowMs))
  }
  return settings
}

/** Chooses what a command of this type says beyond its event and its user. */
export function chooseMembers(
  type: CommandType,
  userId: string,
  event: NaiveEvent | undefined,
  random: Random,
  nowMs: number,
): Members {
  switch (type) {
    case 'cancel':
      return random.chance(0.3) ? nameBooking(userId, event, random) : {}
    case 'confirm':
      return random.chance(0.6) ? nameBooking(userId, event, random) : {}
    case 'extend': {
      const named = random.chance(0.4) ? nameBooking(userId, event, random) : {}
      return random.chance(0.5) ? named : { ...named, seconds: random.pick([1, 7, 60, 9000]) }
    }
    case 'grant':
      return random.chance(0.4) ? { raiseCapacity: random.chance(0.7) } : {}
    case 'configure':
      return configureMembers(event, random, nowMs)
    case 'cancel_event':
      return random.chance(0.5) ? { reason: 'rain' } : {}
    default:
      return {}
  }
}

/** What an API would hash of these members; undefined if there are none. */
export function hashOf(members: Members): string | undefined {
  return Object.keys(members).length === 0 ? undefined : JSON.stringify(members)
}

function nameBooking(userId: string, event: NaiveEvent | undefined, random: Random): Members {
  const all = event?.made ?? []
  const own = all.slice(-400).filter((claim) => claim.userId === userId)
  const lapsed = own.filter(({ status }) => status === 'expired')
  const claim = random.weighted([
    [6, own.findLast(({ kind }) => kind === 'booking')],
    [4, lapsed.length === 0 ? undefined : random.pick(lapsed)],
    [3, own.length === 0 ? undefined : random.pick(own)],
    [1, all.length === 0 ? undefined : random.pick(all)],
  ])
  const eventId = event?.view().eventId ?? 99
  return { bookingId: `${eventId}-${claim?.sequence ?? random.between(1, 5000)}` }
}

function configureMembers(event: NaiveEvent | undefined, random: Random, nowMs: number): Members {
  const patch: EventPatch = {}
  const names = Array.from({ length: random.between(0, 3) }, () => random.pick(CHANGED))
  for (const name of names) Object.assign(patch, ruleOf(name, random, nowMs, event))
  // Most sales that are not open open soon.
  if (event?.isOpen(nowMs) === false && random.chance(0.6))
    Object.assign(patch, { opensAtMs: null, closesAtMs: null, paused: false })
  const members: Members = { patch }
  if (random.chance(0.4)) members.shrink = random.chance(0.8)
  if (random.chance(0.3)) members.ifVersion = (event?.view().version ?? 1) - random.pick([0, 0, 1])
  return members
}

const RULES = [
  'opensAtMs',
  'closesAtMs',
  'paused',
  'promoting',
  'holdSeconds',
  'offerSeconds',
  'maxHoldSeconds',
  'maxWaiting',
] as const
/** The size changes most often. */
const CHANGED = [...RULES, 'totalTickets', 'totalTickets', 'totalTickets', 'name'] as const

/** One setting. What stops the sale is chosen less often than what lets it go on. */
function ruleOf(
  name: (typeof CHANGED)[number],
  random: Random,
  nowMs: number,
  event?: NaiveEvent,
): EventPatch {
  const inSeconds = (seconds: number): number => nowMs + seconds * 1000
  switch (name) {
    case 'opensAtMs':
      return {
        opensAtMs: random.pick([null, null, null, inSeconds(-60), inSeconds(2), inSeconds(90)]),
      }
    case 'closesAtMs':
      return {
        closesAtMs: random.pick([null, null, null, inSeconds(-1), inSeconds(30), inSeconds(9000)]),
      }
    case 'paused':
      return { paused: random.chance(0.15) }
    case 'promoting':
      return { promoting: random.chance(0.7) }
    case 'holdSeconds':
      return { holdSeconds: random.pick([null, 5, 6, 60, 600, 20_000, 20_000]) }
    case 'offerSeconds':
      return { offerSeconds: random.pick([null, 5, 8, 60, 600, 20_000]) }
    case 'maxHoldSeconds':
      return { maxHoldSeconds: random.pick([null, null, 5, 15, 100_000]) }
    case 'maxWaiting':
      return { maxWaiting: random.pick([null, null, null, null, 0, 1, 3, 50]) }
    case 'totalTickets':
      return { totalTickets: newSize(event, random) }
    case 'name':
      return { name: random.pick([null, 'Gala', 'Party']) }
  }
}

function newSize(event: NaiveEvent | undefined, random: Random): number {
  const size = event?.totalTickets ?? 1
  const committed = event?.tickets.length ?? 1
  return random.weighted([
    [3, size + random.between(1, 5)],
    [1, size + random.between(1, 600)],
    [3, Math.max(0, size - random.between(1, 5))],
    [1, Math.max(0, committed - random.between(0, 2))],
    [2, committed + random.between(0, 2)],
    [1, 0],
    [1, size],
  ])
}
