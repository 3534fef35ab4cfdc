import type { Random } from '../random.ts'
import type { ArmedCuts, CutPoint } from './armed-cuts.ts'
import type { Clock, SimProcess } from './clock.ts'

/** A connection to a server. Like TCP, it keeps the order of commands and of replies. */
export interface Connection {
  isReady(): boolean
  /** Calls the listener when the process notices that the connection broke. */
  onDisconnected(listener: () => void): void
  /**
   * Sends a command.
   * @param run executed atomically at the server when the command arrives
   * @param point the kind of command, at which a cut may be armed
   */
  call<T>(run: () => T, point?: CutPoint): Promise<T>
}

export interface ConnectionOptions {
  /**
   * True if commands wait while the server is away, and are sent again if they were not answered.
   * False if they fail at once.
   */
  patient: boolean
  /** A command fails after this many milliseconds. The server may still execute it. */
  timeoutMs?: number
}

/** The network between a process and its server. */
export interface Wire {
  clock: Clock
  random: Random
  armedCuts: ArmedCuts
  server: SimProcess
  /** How often the server was restarted. What was sent to it before never arrives. */
  restarts(): number
  isUp(): boolean
  latencyMs(): number
}

interface Pending {
  run: () => unknown
  point: CutPoint | undefined
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  cancelTimeout: (() => void) | undefined
  settled: boolean
}

/** The error of ioredis for a command that it did not send. */
const NEVER_SENT = "Stream isn't writeable and enableOfflineQueue options is false"
const CUT = 'Connection is closed.'
const RECONNECT_MS = 50
/**
 * Probability that a command which was being sent when its connection broke is lost. Otherwise it
 * arrives late.
 */
const LOST_WITH_ITS_CONNECTION = 0.7

/** @returns the connection, and a function that breaks it */
export function createConnection(
  wire: Wire,
  process: SimProcess,
  { patient, timeoutMs }: ConnectionOptions,
): { connection: Connection; cut: () => void } {
  const { clock, random, server } = wire
  let generation = 0
  let ready = wire.isUp()
  let arrivesAtMs = 0
  let answeredAtMs = 0
  let unanswered = new Set<Pending>()
  let unsent: Pending[] = []
  const disconnectListeners: (() => void)[] = []

  function send(pending: Pending): void {
    const sentIn = generation
    const sentTo = wire.restarts()
    arrivesAtMs = Math.max(clock.exactNow() + wire.latencyMs(), arrivesAtMs)
    unanswered.add(pending)
    clock.after(arrivesAtMs - clock.exactNow(), server, () => {
      if (wire.restarts() === sentTo) arrive(pending, sentIn, sentTo)
    })
  }

  function arrive(pending: Pending, sentIn: number, sentTo: number): void {
    const moment = sentIn === generation ? wire.armedCuts.reach(pending.point) : undefined
    if (moment === 'before') cut()
    if (sentIn === generation) {
      answer(pending, carryOut(pending), sentIn)
      if (moment === 'after') cut()
    } else if (!random.chance(LOST_WITH_ITS_CONNECTION)) {
      clock.after(random.between(1, 2500), server, () => {
        if (wire.restarts() === sentTo) carryOut(pending)
      })
    }
  }

  function answer(
    pending: Pending,
    result: { value?: unknown; error?: unknown },
    sentIn: number,
  ): void {
    answeredAtMs = Math.max(clock.exactNow() + wire.latencyMs(), answeredAtMs)
    clock.after(answeredAtMs - clock.exactNow(), process, () => {
      if (sentIn !== generation || pending.settled) return
      settle(pending)
      if ('error' in result) pending.reject(result.error)
      else pending.resolve(result.value)
    })
  }

  function settle(pending: Pending): void {
    pending.settled = true
    pending.cancelTimeout?.()
    unanswered.delete(pending)
  }

  function cut(): void {
    generation += 1
    ready = false
    clock.after(0, process, () => {
      for (const listener of disconnectListeners) listener()
      const lost = [...unanswered]
      unanswered = new Set()
      if (patient) unsent = [...lost, ...unsent]
      else for (const pending of lost) fail(pending, CUT)
    })
    clock.after(RECONNECT_MS, process, reconnect)
  }

  function fail(pending: Pending, message: string): void {
    settle(pending)
    pending.reject(new Error(message))
  }

  function reconnect(): void {
    if (ready) return
    if (!wire.isUp()) return void clock.after(2 * RECONNECT_MS, process, reconnect)
    ready = true
    arrivesAtMs = 0
    answeredAtMs = 0
    for (const pending of unsent.splice(0)) if (!pending.settled) send(pending)
  }

  if (!ready) clock.after(RECONNECT_MS, process, reconnect)
  const connection: Connection = {
    isReady: () => ready,
    onDisconnected: (listener) => void disconnectListeners.push(listener),
    call<T>(run: () => T, point?: CutPoint) {
      if (!ready && !patient) return Promise.reject(new Error(NEVER_SENT))
      return new Promise<T>((resolve, reject) => {
        const settlers = { resolve: resolve as Pending['resolve'], reject }
        const pending: Pending = {
          run,
          point,
          ...settlers,
          cancelTimeout: undefined,
          settled: false,
        }
        if (timeoutMs !== undefined)
          pending.cancelTimeout = clock.after(timeoutMs, process, () =>
            fail(pending, 'Command timed out'),
          )
        if (ready) send(pending)
        else unsent.push(pending)
      })
    },
  }
  return { connection, cut }
}

function carryOut(pending: Pending): { value?: unknown; error?: unknown } {
  try {
    return { value: pending.run() }
  } catch (error) {
    return { error }
  }
}
