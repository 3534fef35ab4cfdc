import type { SubmitResult } from '@ticket-line/line/client'
import type { CommandRequest } from '@ticket-line/shared'
import type { ApiProcess } from './api-process.ts'
import { createProcess } from './clock.ts'
import { burstsOf, chooseRequests, type RequestPlan } from './requests.ts'
import type { World } from './world.ts'

/** A request with a number, by which its effect is found everywhere. */
export type NumberedRequest = CommandRequest & { number: number }

/** A request of a client, and its result. */
export interface Sent {
  request: NumberedRequest
  waitMs: number
  sentAtMs: number
  api: ApiProcess
  result: SubmitResult | undefined
  answeredAtMs: number
}

export interface TrafficPlan extends RequestPlan {
  /** Number of commands that enter a line. Refused requests are sent again and do not count. */
  commands: number
  overMs: number
}

export interface Traffic {
  sent: Sent[]
  /** Sends a few commands at once. */
  sendBurst(): void
  /** True when everything was sent and every client has its answer. */
  isDone(): boolean
}

const WAITS_MS = [0, 0, 30, 200, 1000, 3000, 10_000, 10_000] as const

/**
 * Starts clients. They send commands one by one and in bursts, to either API process, with and
 * without waiting, and some with idempotency keys. A refused request is sent again. A request with
 * an unknown result is sent again if it has a key.
 */
export function startTraffic(world: World, apis: () => ApiProcess[], plan: TrafficPlan): Traffic {
  const { clock } = world
  const random = world.random.fork('traffic')
  /** The last booking that an answer named, by event and user. */
  const bookingIds = new Map<string, string>()
  const nextRequest = chooseRequests(random, plan, {
    nowMs: clock.now,
    bookingIdOf: (eventId, userId) => bookingIds.get(`${eventId} ${userId}`),
  })
  const clients = createProcess('clients')
  const sent: Sent[] = []
  const arriving = new Map<ApiProcess, Sent[]>()
  let left = plan.commands
  let scheduled = 0

  function later(afterMs: number, run: () => void): void {
    scheduled += 1
    clock.after(afterMs, clients, () => {
      scheduled -= 1
      run()
    })
  }

  function send(command: CommandRequest, waitMs: number): void {
    if (left === 0) return
    const running = apis()
    if (running.length === 0) {
      // No API process is running.
      sendAgain(command, waitMs)
      return
    }
    left -= 1
    const api = random.pick(running)
    const request: NumberedRequest = { ...command, number: sent.length }
    const sentAtMs = clock.exactNow()
    const entry: Sent = { request, waitMs, sentAtMs, api, result: undefined, answeredAtMs: 0 }
    sent.push(entry)
    arrive(entry)
  }

  function sendAgain(command: CommandRequest, waitMs: number): void {
    // Requests that were refused together come back in a few groups.
    later(random.pick([1000, 1500, 2500, 4000]), () => send(command, waitMs))
  }

  /** Requests that are sent to a process at the same time arrive together. */
  function arrive(one: Sent): void {
    const { api } = one
    const together = arriving.get(api) ?? []
    if (together.push(one) > 1) return
    arriving.set(api, together)
    clock.after(0, api.process, () => {
      arriving.delete(api)
      for (const each of together)
        void api.submit(each.request, each.waitMs).then((result) => receive(each, result))
    })
  }

  function receive(one: Sent, result: SubmitResult): void {
    one.result = result
    one.answeredAtMs = clock.exactNow()
    const bookingId = result.kind === 'decided' ? result.outcome.bookingId : undefined
    if (bookingId !== undefined) {
      const { eventId, userId } = one.request
      bookingIds.set(`${eventId} ${userId}`, bookingId)
    }
    const refused = result.kind === 'unavailable' || result.kind === 'busy'
    if (refused) left += 1
    if (refused || (result.kind === 'unknown' && hasKey(one))) sendAgain(one.request, one.waitMs)
  }

  world.onEnd((process) => {
    for (const one of sent)
      if (one.api.process === process && one.result === undefined && hasKey(one))
        sendAgain(one.request, one.waitMs)
  })
  for (const size of burstsOf(random, plan.commands))
    later(random.next() * plan.overMs, () => {
      const waitMs = random.pick(WAITS_MS)
      for (let i = 0; i < size; i++)
        send(nextRequest(), random.chance(0.8) ? waitMs : random.pick(WAITS_MS))
    })
  return {
    sent,
    sendBurst() {
      for (let i = random.between(1, 6); i > 0; i--) send(nextRequest(), random.pick(WAITS_MS))
    },
    isDone: () =>
      scheduled === 0 &&
      sent.every(({ result, api }) => result !== undefined || !api.process.alive),
  }
}

function hasKey({ request }: Sent): boolean {
  return request.keyHash !== undefined
}
