import type { SubmitResult } from '@ticket-line/line/client'
import type { CommandRequest } from '@ticket-line/shared'
import type { ApiProcess } from './api-process.ts'
import { createProcess } from './clock.ts'
import { burstsOf, chooseRequests, type RequestPlan } from './requests.ts'
import type { World } from './world.ts'

/** A request with a mark of its own, by which its effect is found wherever it shows. */
export interface Marked extends CommandRequest {
  mark: number
}

/** One request of a client, and what came of it. */
export interface Sent {
  request: Marked
  waitMs: number
  sentAtMs: number
  api: ApiProcess
  result: SubmitResult | undefined
  answeredAtMs: number
}

export interface TrafficPlan extends RequestPlan {
  /** Commands that get into a line; those that are refused are sent again and do not count. */
  commands: number
  overMs: number
}

export interface Traffic {
  sent: Sent[]
  /** True once nothing is left to send and nobody waits. */
  isDone(): boolean
}

const WAITS_MS = [0, 0, 30, 200, 1000, 3000, 10_000, 10_000] as const

/**
 * Lets clients send their commands: alone and in bursts, to either API process, waiting or not.
 * Some carry keys; who was refused comes again, and who does not know what became of it sends it
 * again where he has a key.
 */
export function letClientsSend(world: World, apis: () => ApiProcess[], plan: TrafficPlan): Traffic {
  const { clock } = world
  const random = world.random.fork('traffic')
  const anything = chooseRequests(random, plan)
  const clients = createProcess('clients')
  const sent: Sent[] = []
  const arriving = new Map<ApiProcess, Sent[]>()
  let left = plan.commands
  let toCome = 0

  function later(afterMs: number, run: () => void): void {
    toCome += 1
    clock.after(afterMs, clients, () => {
      toCome -= 1
      run()
    })
  }

  function send(like: CommandRequest, waitMs: number): void {
    if (left === 0) return
    const running = apis()
    if (running.length === 0) {
      // Nobody listens.
      sendAgain(like, waitMs)
      return
    }
    left -= 1
    const api = random.pick(running)
    const request: Marked = { ...like, mark: sent.length }
    const sentAtMs = clock.exactNow()
    const one: Sent = { request, waitMs, sentAtMs, api, result: undefined, answeredAtMs: 0 }
    sent.push(one)
    arrive(one)
  }

  function sendAgain(like: CommandRequest, waitMs: number): void {
    // Those who were refused together come again in a few groups.
    later(random.pick([1000, 1500, 2500, 4000]), () => send(like, waitMs))
  }

  /** What is sent to one process at one moment arrives there together. */
  function arrive(one: Sent): void {
    const { api } = one
    const together = arriving.get(api) ?? []
    if (together.push(one) > 1) return
    arriving.set(api, together)
    clock.after(0, api.process, () => {
      arriving.delete(api)
      for (const each of together)
        void api.submit(each.request, each.waitMs).then((result) => hear(each, result))
    })
  }

  function hear(one: Sent, result: SubmitResult): void {
    one.result = result
    one.answeredAtMs = clock.exactNow()
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
        send(anything(), random.chance(0.8) ? waitMs : random.pick(WAITS_MS))
    })
  return {
    sent,
    isDone: () =>
      toCome === 0 && sent.every(({ result, api }) => result !== undefined || !api.process.alive),
  }
}

function hasKey({ request }: Sent): boolean {
  return request.keyHash !== undefined
}
