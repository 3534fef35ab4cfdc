import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../random.ts'
import { isAcknowledged } from '../check/answers.ts'
import type { CommandInput, EventSettings, History } from '../history.ts'
import type { HttpClient } from './http-client.ts'
import {
  commandOf,
  configureOf,
  type Endpoint,
  STAFF,
  sendCommand,
  TIMEOUT_MS,
} from './send-command.ts'

export interface RandomClientsOptions {
  client: HttpClient
  endpoints: Endpoint[]
  history: History
  random: Random
  /** Number of clients. */
  count: number
  /** Number of users of each event. */
  usersPerEvent: number
  /** Longest pause of a client between two actions, in milliseconds. */
  maxPauseMs: number
  /** Events with settings that may be canceled. Default: none. */
  cancelable?: number[]
}

/**
 * Clients that send every command, repeat requests, poll jobs and hang up, at random. Events
 * without settings get only bookings and cancellations.
 */
export interface RandomClients {
  /** Resolves when the last request of every client has ended. */
  stop(): Promise<void>
}

const AVOID_FOR_MS = 250
/** Number of commands with a key that are kept for repeats. */
const COMMANDS_KEPT = 500

export function startRandomClients(options: RandomClientsOptions): RandomClients {
  const { history, client, random } = options
  const keyed: CommandInput[] = []
  const promised: string[] = []
  /** The last booking or hold of each user that an answer has named. */
  const bookingIds = new Map<string, string>()
  const refusedAt = new Map<string, number>()
  let stopped = false
  let keys = 0

  /** Avoids a process that refused a connection recently, as a load balancer would. */
  function pickEndpoint(chance: Random): Endpoint {
    const since = performance.now() - AVOID_FOR_MS
    const open = options.endpoints.filter((endpoint) => (refusedAt.get(endpoint.name) ?? 0) < since)
    return chance.pick(open.length > 0 ? open : options.endpoints)
  }

  /** Most requests are for the first events. */
  function pickEvent(chance: Random): number {
    const { events } = history
    const at = Math.floor(chance.next() ** 2.5 * events.length)
    return (events[at] as (typeof events)[number]).eventId
  }

  function newCommand(chance: Random): CommandInput {
    const eventId = pickEvent(chance)
    const userId = `user-${eventId}-${chance.between(1, options.usersPerEvent)}`
    const { settings } = history.events.find((event) => event.eventId === eventId) ?? {}
    const command =
      settings === undefined
        ? commandOf(chance.chance(0.62) ? 'book' : 'cancel', eventId, userId)
        : chooseCommand(chance, eventId, userId, settings)
    if (chance.chance(0.1)) command.caller = STAFF
    if (chance.chance(0.5)) {
      command.key = `key-${keys++}`
      keyed.push(command)
      if (keyed.length > COMMANDS_KEPT) keyed.shift()
    }
    return command
  }

  /** A command for an event with settings. */
  function chooseCommand(
    chance: Random,
    eventId: number,
    userId: string,
    settings: EventSettings,
  ): CommandInput {
    const ofStaff = { eventId, userId, caller: STAFF }
    // Most commands name a user who has a booking or a hold. Others would rarely have an effect.
    const known = [...bookingIds].filter(([user]) => user.startsWith(`user-${eventId}-`))
    const [holder, knownId] = known.length > 0 && chance.chance(0.7) ? chance.pick(known) : [userId]
    const named = knownId === undefined || chance.chance(0.4) ? {} : { bookingId: knownId }
    return chance.weighted<() => CommandInput>([
      [
        options.cancelable?.includes(eventId) ? 3 : 0,
        () => ({ ...ofStaff, type: 'cancel_event', userId: STAFF }),
      ],
      [44, () => commandOf('book', eventId, userId)],
      [12, () => ({ ...commandOf('cancel', eventId, holder), ...named })],
      [26, () => ({ ...commandOf('confirm', eventId, holder), ...named })],
      [
        8,
        () => ({
          ...ofStaff,
          type: 'extend',
          userId: holder,
          ...named,
          seconds: chance.between(1, 12),
        }),
      ],
      [4, () => ({ ...ofStaff, type: 'grant', raiseCapacity: chance.chance(0.3) })],
      [6, () => ({ ...configureOf(eventId, choosePatch(chance, settings)), shrink: true })],
    ])()
  }

  /** Changes or restores one setting. */
  function choosePatch(chance: Random, settings: EventSettings): EventSettings {
    const { totalTickets = 0 } = settings
    return chance.weighted<EventSettings>([
      [4, { totalTickets: chance.between(0, 2 * totalTickets) }],
      [4, { totalTickets }],
      [1, { sales: 'paused' }],
      [3, { sales: 'open' }],
      [1, { promotion: 'off' }],
      [3, { promotion: 'on' }],
      [1, { maxWaiting: chance.between(0, 10) }],
      [2, { maxWaiting: null }],
      [1, { holdSeconds: null, offerSeconds: chance.between(5, 8) }],
      [2, { holdSeconds: chance.between(5, 8), offerSeconds: null }],
    ])
  }

  /** Usually a new command; sometimes an earlier one, or its key with another command. */
  function pickCommand(chance: Random): CommandInput {
    if (keyed.length === 0 || !chance.chance(0.2)) return newCommand(chance)
    const old = chance.pick(keyed)
    const { type, eventId, userId, caller, key = '' } = old
    if (chance.chance(0.85) || userId === STAFF) return old
    return { ...commandOf(type === 'book' ? 'cancel' : 'book', eventId, userId, key), caller }
  }

  async function send(command: CommandInput, chance: Random): Promise<void> {
    const prefer = chance.weighted([
      [3, undefined],
      [3, 'return=representation'],
      [2, 'respond-async'],
      [2, `wait=${chance.between(0, 3)}`],
    ])
    const call = await sendCommand(options, pickEndpoint(chance), command, {
      ...(prefer !== undefined && { prefer }),
      ...(chance.chance(0.08) && { hangUpAfterMs: chance.between(1, 200) }),
    })
    if (call.failure === 'refused') refusedAt.set(call.api, call.endedAtMs)
    const { bookingId } = call.answer?.body ?? {}
    if (typeof bookingId === 'string') bookingIds.set(command.userId, bookingId)
    if (isAcknowledged(call.answer) && call.answer?.jobId !== undefined)
      promised.push(call.answer.jobId)
  }

  async function poll(chance: Random): Promise<void> {
    if (promised.length === 0) return
    // Recent jobs are the most likely ones to be undecided.
    const jobId = promised[
      promised.length - 1 - Math.floor(chance.next() ** 3 * promised.length)
    ] as string
    const endpoint = pickEndpoint(chance)
    const exchange = await client.send(endpoint.url, {
      method: 'GET',
      path: `/jobs/${jobId}`,
      token: await client.token(STAFF, 'organizer'),
      headers: chance.chance(0.3) ? { prefer: 'wait=2' } : {},
      timeoutMs: TIMEOUT_MS,
    })
    history.jobs.push({ kind: 'job', jobId, final: false, api: endpoint.name, ...exchange })
  }

  async function readStatus(chance: Random): Promise<void> {
    const eventId = pickEvent(chance)
    const endpoint = pickEndpoint(chance)
    const token = await client.token(STAFF, 'organizer')
    const request = {
      method: 'GET',
      path: `/status/${eventId}`,
      token,
      timeoutMs: TIMEOUT_MS,
    } as const
    const exchange = await client.send(endpoint.url, request)
    history.statuses.push({
      kind: 'status',
      eventId,
      final: false,
      api: endpoint.name,
      ...exchange,
    })
  }

  async function act(chance: Random): Promise<void> {
    const dice = chance.next()
    if (dice < 0.22) return poll(chance)
    if (dice < 0.3) return readStatus(chance)
    const command = pickCommand(chance)
    const copies = command.key !== undefined && chance.chance(0.3) ? chance.between(2, 3) : 1
    await Promise.all(Array.from({ length: copies }, () => send(command, chance)))
  }

  async function runClient(chance: Random): Promise<void> {
    while (!stopped) {
      await act(chance)
      await sleep(chance.between(0, options.maxPauseMs))
    }
  }

  const running = Array.from({ length: options.count }, (_, index) =>
    runClient(random.fork(`client ${index}`)),
  )
  return {
    async stop() {
      stopped = true
      await Promise.all(running)
    },
  }
}
