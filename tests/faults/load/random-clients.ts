import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../random.ts'
import { isAck } from '../check/answers.ts'
import type { History } from '../history.ts'
import type { Caller } from './http-client.ts'
import {
  type Entry,
  SILENT_AFTER_MS,
  STAFF,
  sendCommand,
  type Wish,
  wishOf,
} from './send-command.ts'

export interface ClientsOptions {
  caller: Caller
  entries: Entry[]
  history: History
  random: Random
  /** Clients that act at once. */
  count: number
  /** Users that each event knows. */
  usersPerEvent: number
  /** Longest pause between two deeds of a client, ms. */
  maxPauseMs: number
}

/** Clients that book, cancel, repeat, poll and walk away until told to stop. */
export interface Clients {
  /** Resolves once every client has heard, or given up waiting for, its last answer. */
  stop(): Promise<void>
}

const AVOIDED_FOR_MS = 250
/** Wishes that are kept to be repeated. */
const WISHES_KEPT = 500

export function startClients(options: ClientsOptions): Clients {
  const { history, caller, random } = options
  const keyed: Wish[] = []
  const promised: string[] = []
  const refusedAt = new Map<string, number>()
  let stopped = false
  let keys = 0

  /** Away from a process that refused connections a moment ago, as a load balancer would. */
  function pickEntry(chance: Random): Entry {
    const since = performance.now() - AVOIDED_FOR_MS
    const open = options.entries.filter((entry) => (refusedAt.get(entry.name) ?? 0) < since)
    return chance.pick(open.length > 0 ? open : options.entries)
  }

  /** Early events draw most of the crowd. */
  function pickEvent(chance: Random): number {
    const { events } = history
    const at = Math.floor(chance.next() ** 2.5 * events.length)
    return (events[at] as (typeof events)[number]).eventId
  }

  function newWish(chance: Random): Wish {
    const eventId = pickEvent(chance)
    const userId = `user-${eventId}-${chance.between(1, options.usersPerEvent)}`
    const wish = wishOf(chance.chance(0.62) ? 'book' : 'cancel', eventId, userId)
    if (chance.chance(0.1)) wish.caller = STAFF
    if (chance.chance(0.5)) {
      wish.key = `key-${keys++}`
      keyed.push(wish)
      if (keyed.length > WISHES_KEPT) keyed.shift()
    }
    return wish
  }

  /** Mostly something new; now and then an old wish again, or its key for something else. */
  function pickWish(chance: Random): Wish {
    if (keyed.length === 0 || !chance.chance(0.2)) return newWish(chance)
    const old = chance.pick(keyed)
    return chance.chance(0.85) ? old : { ...old, type: old.type === 'book' ? 'cancel' : 'book' }
  }

  async function send(wish: Wish, chance: Random): Promise<void> {
    const prefer = chance.weighted([
      [6, undefined],
      [2, 'respond-async'],
      [2, `wait=${chance.between(0, 3)}`],
    ])
    const call = await sendCommand(options, pickEntry(chance), wish, {
      ...(prefer !== undefined && { prefer }),
      ...(chance.chance(0.08) && { leaveAfterMs: chance.between(1, 200) }),
    })
    if (call.failure === 'refused') refusedAt.set(call.api, call.endedAtMs)
    if (isAck(call.answer) && call.answer?.jobId !== undefined) promised.push(call.answer.jobId)
  }

  async function poll(chance: Random): Promise<void> {
    if (promised.length === 0) return
    // Young ones are the interesting ones.
    const jobId = promised[
      promised.length - 1 - Math.floor(chance.next() ** 3 * promised.length)
    ] as string
    const entry = pickEntry(chance)
    const exchange = await caller.ask(entry.url, {
      method: 'GET',
      path: `/jobs/${jobId}`,
      token: await caller.token(STAFF, 'organizer'),
      headers: chance.chance(0.3) ? { prefer: 'wait=2' } : {},
      silentAfterMs: SILENT_AFTER_MS,
    })
    history.jobs.push({ kind: 'job', jobId, final: false, api: entry.name, ...exchange })
  }

  async function look(chance: Random): Promise<void> {
    const eventId = pickEvent(chance)
    const entry = pickEntry(chance)
    const token = await caller.token(STAFF, 'organizer')
    const ask = {
      method: 'GET',
      path: `/status/${eventId}`,
      token,
      silentAfterMs: SILENT_AFTER_MS,
    } as const
    const exchange = await caller.ask(entry.url, ask)
    history.statuses.push({ kind: 'status', eventId, final: false, api: entry.name, ...exchange })
  }

  async function act(chance: Random): Promise<void> {
    const doing = chance.next()
    if (doing < 0.22) return poll(chance)
    if (doing < 0.3) return look(chance)
    const wish = pickWish(chance)
    const copies = wish.key !== undefined && chance.chance(0.3) ? chance.between(2, 3) : 1
    await Promise.all(Array.from({ length: copies }, () => send(wish, chance)))
  }

  async function live(chance: Random): Promise<void> {
    while (!stopped) {
      await act(chance)
      await sleep(chance.between(0, options.maxPauseMs))
    }
  }

  const lives = Array.from({ length: options.count }, (_, index) =>
    live(random.fork(`client ${index}`)),
  )
  return {
    async stop() {
      stopped = true
      await Promise.all(lives)
    },
  }
}
