import type { EventPatch } from '@ticket-line/shared'
import type { Random } from '../random.ts'

const RULES = [
  'holdSeconds',
  'offerSeconds',
  'maxHoldSeconds',
  'maxWaiting',
  'paused',
  'promoting',
  'opensAtMs',
  'closesAtMs',
] as const

/** Settings with which an event begins. Deadlines are so short that many pass in a simulation. */
export function chooseSettings(random: Random, nowMs: number): EventPatch {
  const settings: EventPatch = { holdSeconds: random.pick([null, 1, 2, 5, 20]) }
  for (const name of RULES.slice(1))
    if (random.chance(0.4)) Object.assign(settings, ruleOf(name, random, nowMs))
  return settings
}

/** What a client changes of the settings of an event. */
export function choosePatch(random: Random, nowMs: number): EventPatch {
  if (random.chance(0.4)) return { totalTickets: random.pick([0, 1, 5, 20, 40, 200]) }
  const patch: EventPatch = {}
  for (let changes = random.between(0, 2); changes > 0; changes--)
    Object.assign(patch, ruleOf(random.pick(RULES), random, nowMs))
  // Most sales soon go on.
  if (random.chance(0.5)) Object.assign(patch, { paused: false, opensAtMs: null, closesAtMs: null })
  return patch
}

function ruleOf(name: (typeof RULES)[number], random: Random, nowMs: number): EventPatch {
  switch (name) {
    case 'holdSeconds':
      return { holdSeconds: random.pick([null, 1, 2, 5, 20]) }
    case 'offerSeconds':
      return { offerSeconds: random.pick([null, 1, 3, 10]) }
    case 'maxHoldSeconds':
      return { maxHoldSeconds: random.pick([null, null, 4]) }
    case 'maxWaiting':
      return { maxWaiting: random.pick([null, null, null, 0, 5, 50]) }
    case 'paused':
      return { paused: random.chance(0.2) }
    case 'promoting':
      return { promoting: random.chance(0.7) }
    case 'opensAtMs':
      return { opensAtMs: random.pick([null, nowMs + 500, nowMs + 2500]) }
    case 'closesAtMs':
      return { closesAtMs: random.pick([null, nowMs + 3000, nowMs + 12_000]) }
  }
}
