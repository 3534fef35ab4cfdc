import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../random.ts'
import { isAcknowledged } from '../check/answers.ts'
import type { History } from '../history.ts'
import type { HttpClient } from './http-client.ts'
import {
  type CommandInput,
  commandOf,
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
}

/** Clients that book, cancel, repeat requests, poll jobs and hang up, at random. */
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
    const command = commandOf(chance.chance(0.62) ? 'book' : 'cancel', eventId, userId)
    if (chance.chance(0.1)) command.caller = STAFF
    if (chance.chance(0.5)) {
      command.key = `key-${keys++}`
      keyed.push(command)
      if (keyed.length > COMMANDS_KEPT) keyed.shift()
    }
    return command
  }

  /** Usually a new command; sometimes an earlier one, or its key with another command. */
  function pickCommand(chance: Random): CommandInput {
    if (keyed.length === 0 || !chance.chance(0.2)) return newCommand(chance)
    const old = chance.pick(keyed)
    return chance.chance(0.85) ? old : { ...old, type: old.type === 'book' ? 'cancel' : 'book' }
  }

  async function send(command: CommandInput, chance: Random): Promise<void> {
    const prefer = chance.weighted([
      [6, undefined],
      [2, 'respond-async'],
      [2, `wait=${chance.between(0, 3)}`],
    ])
    const call = await sendCommand(options, pickEndpoint(chance), command, {
      ...(prefer !== undefined && { prefer }),
      ...(chance.chance(0.08) && { hangUpAfterMs: chance.between(1, 200) }),
    })
    if (call.failure === 'refused') refusedAt.set(call.api, call.endedAtMs)
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
