import { type Clock, every, type Log, type Loop, sleep } from '@ticket-line/shared'
import type { AccountOverrides } from '../auth/account-overrides.js'
import type { Principal } from '../http/principal.js'
import type { StreamMetrics } from '../operations/metrics.js'
import { type ByeReason, byeFrame, COMMENT, retryFrame } from './frames.js'
import type { StreamResponse } from './stream-response.js'
import type { Shown, Topic } from './topic.js'

/** Time between two comments of a stream, ms. */
const COMMENT_EVERY_MS = 15_000
/** How often all streams are checked, ms. */
const SWEEP_EVERY_MS = 250
/** How many streams are written in one turn of the event loop, so that other requests go on. */
const STREAMS_A_TURN = 32
/** A client connects again after a random time in this range, ms. */
const RETRY_MS = { min: 1000, max: 5000 }
/**
 * Maximum rate at which the clients of a stopping process connect again. If it has many streams, it
 * sends them times from a longer range.
 */
const RECONNECTS_PER_SECOND = 1000
/** How long the client may take to read the last event after the end of a stream, ms. */
const END_WITHIN_MS = 5000

/**
 * An open stream. At most one of its updates is on the way to the client. Until the client has read
 * it, the stream sends nothing. It then sends the last state.
 */
export interface OpenStream {
  readonly topic: Topic
  /** The open streams of the topic. */
  readonly siblings: Set<OpenStream>
  readonly shown: Shown
  readonly response: StreamResponse
  /** Whoever opened it; undefined if no token was sent. */
  readonly principal: Principal | undefined
  /** Called once, when the stream ends for any reason. */
  readonly onEnd: () => void
  nextCommentAtMs: number
  /** Since when the client has not read everything, as `steadyMs`; undefined if it has. */
  unreadSinceMs: number | undefined
  /** Since when it has an update to send, as `steadyMs`; undefined if it has none. */
  behindSinceMs: number | undefined
}

/** The streams of a process, and everything that happens on their connections. */
export interface OpenStreams {
  size(): number
  counts(): { status: number; standing: number }
  /** Sends the present state. From then on, comments are sent, and the stream may end. */
  add(stream: Omit<OpenStream, 'nextCommentAtMs' | 'unreadSinceMs' | 'behindSinceMs'>): void
  /**
   * Sends the last state to those that do not show it, a few in each turn of the event loop.
   *
   * @param behindSinceMs since when they do not show it, as `steadyMs`
   */
  update(streams: Iterable<OpenStream>, behindSinceMs: number): void
  /** Ends a stream without the event `bye`. */
  close(stream: OpenStream): void
  /** Ends all streams, because the process stops. */
  endAll(): void
  /** Calls a listener every `SWEEP_EVERY_MS`, as long as there are streams. */
  onSweep(listener: () => void): void
}

export interface OpenStreamsDeps {
  accounts: Pick<AccountOverrides, 'endOf' | 'onChange'>
  /** A stream whose client reads nothing for this long is closed, ms. */
  stallTimeoutMs: number
  metrics: StreamMetrics
  log: Log
  clock: Clock
}

export function createOpenStreams(deps: OpenStreamsDeps): OpenStreams {
  const { accounts, stallTimeoutMs, metrics, log, clock } = deps
  const streams = new Set<OpenStream>()
  const byUser = new Map<string, Set<OpenStream>>()
  /** Responses that have ended, and when their connections are closed, as `steadyMs`. */
  const ending = new Map<StreamResponse, number>()
  const listeners: (() => void)[] = []
  let standing = 0
  let sweeping: Loop | undefined

  /** @returns false if it was removed before */
  function remove(stream: OpenStream): boolean {
    const { topic, siblings, principal, shown } = stream
    if (!streams.delete(stream)) return false
    siblings.delete(stream)
    topic.remove(shown)
    if (shown.userId !== undefined) standing--
    const own = principal && byUser.get(principal.userId)
    if (principal !== undefined && own?.delete(stream) && own.size === 0)
      byUser.delete(principal.userId)
    stream.onEnd()
    return true
  }

  /** Sends what a stream does not show yet, unless its client has not read what came before. */
  function send(stream: OpenStream): void {
    const { topic, shown, response } = stream
    if (stream.unreadSinceMs !== undefined || !streams.has(stream)) return
    if (response.unreadBytes() > 0) {
      stream.unreadSinceMs = clock.steadyMs()
      return
    }
    const due = topic.take(shown)
    if (due === undefined) return
    response.write(due.bytes)
    if (due.status > 0) metrics.events.inc({ event: 'status' })
    if (due.standing > 0) metrics.events.inc({ event: 'standing' })
  }

  /** The streams that `sendSome` is to send an update to. */
  const unsent: OpenStream[] = []
  let nextUnsent = 0

  function sendSome(): void {
    const nowMs = clock.steadyMs()
    const end = Math.min(nextUnsent + STREAMS_A_TURN, unsent.length)
    for (; nextUnsent < end; nextUnsent++) {
      const stream = unsent[nextUnsent] as OpenStream
      metrics.lag.observe((nowMs - (stream.behindSinceMs ?? nowMs)) / 1000)
      stream.behindSinceMs = undefined
      send(stream)
    }
    if (nextUnsent < unsent.length) setImmediate(sendSome)
    else {
      unsent.length = 0
      nextUnsent = 0
    }
  }

  function sweep(): void {
    const nowMs = clock.steadyMs()
    const wallMs = clock.wallMs()
    for (const stream of streams) {
      const { response, principal } = stream
      if ((principal?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= wallMs) endWith('expired', stream)
      else if (stream.unreadSinceMs !== undefined) checkUnread(stream, nowMs)
      else if (stream.nextCommentAtMs <= nowMs) {
        stream.nextCommentAtMs += COMMENT_EVERY_MS
        if (response.unreadBytes() > 0) stream.unreadSinceMs = nowMs
        else response.write(COMMENT)
      }
    }
    for (const [response, untilMs] of ending) if (untilMs <= nowMs) response.destroy()
    for (const listener of listeners) listener()
  }

  function checkUnread(stream: OpenStream, nowMs: number): void {
    const { response, unreadSinceMs = nowMs } = stream
    if (response.unreadBytes() === 0) {
      stream.unreadSinceMs = undefined
      send(stream)
    } else if (nowMs - unreadSinceMs >= stallTimeoutMs) {
      metrics.ended.inc({ reason: 'slow' })
      remove(stream)
      response.destroy()
    }
  }

  function endWith(reason: ByeReason, stream: OpenStream, retryMs = between(RETRY_MS)): void {
    if (!remove(stream)) return
    metrics.ended.inc({ reason })
    end(stream.response, byeFrame(reason, retryMs))
  }

  function end(response: StreamResponse, last: Buffer): void {
    ending.set(response, clock.steadyMs() + END_WITHIN_MS)
    response.end(last)
  }

  function endIfRefused(stream: OpenStream): void {
    const reason = stream.principal && accounts.endOf(stream.principal)
    if (reason !== undefined) endWith(reason, stream)
  }

  accounts.onChange((userId) => {
    for (const stream of byUser.get(userId) ?? []) endIfRefused(stream)
  })

  return {
    size: () => streams.size,
    counts: () => ({ status: streams.size - standing, standing }),
    add(given) {
      sweeping ??= every(SWEEP_EVERY_MS, sweep, {
        onError: (err) => log.error({ err }, 'could not check all streams'),
      })
      const stream: OpenStream = {
        ...given,
        // Spread evenly, even if all streams were opened at once.
        nextCommentAtMs: clock.steadyMs() + Math.random() * COMMENT_EVERY_MS,
        unreadSinceMs: undefined,
        behindSinceMs: undefined,
      }
      const { topic, siblings, shown, response, principal } = stream
      streams.add(stream)
      siblings.add(stream)
      if (shown.userId !== undefined) standing++
      if (principal !== undefined) {
        const own = byUser.get(principal.userId) ?? new Set()
        byUser.set(principal.userId, own.add(stream))
      }
      response.onClose(() => {
        ending.delete(response)
        if (remove(stream)) metrics.ended.inc({ reason: 'client' })
      })
      if (!streams.has(stream)) return
      const first = topic.take(shown)?.bytes ?? COMMENT
      response.write(Buffer.concat([retryFrame(between(RETRY_MS)), first]))
      endIfRefused(stream)
    },
    update(own, behindSinceMs) {
      for (const stream of own) {
        if (stream.behindSinceMs !== undefined || !stream.topic.isBehind(stream.shown)) continue
        stream.behindSinceMs = behindSinceMs
        if (unsent.push(stream) === 1) setImmediate(sendSome)
      }
    },
    close(stream) {
      if (remove(stream)) end(stream.response, COMMENT)
    },
    async endAll() {
      const { min } = RETRY_MS
      const max = Math.max(RETRY_MS.max, min + (streams.size * 1000) / RECONNECTS_PER_SECOND)
      let count = 0
      for (const stream of [...streams]) {
        endWith('shutdown', stream, between({ min, max }))
        if (++count % STREAMS_A_TURN === 0) await sleep(0)
      }
      await sweeping?.stop()
    },
    onSweep: (listener) => void listeners.push(listener),
  }
}

/** A random time in whole ms, so that clients do not all connect at the same moment. */
function between({ min, max }: { min: number; max: number }): number {
  return Math.floor(min + Math.random() * (max - min))
}
