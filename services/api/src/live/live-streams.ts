import type { LiveQuestion, LiveState } from '@ticket-line/db'
import {
  type Clock,
  every,
  type Log,
  type Loop,
  sleep,
  systemClock,
  withDeadline,
} from '@ticket-line/shared'
import type { AccountOverrides, PrincipalEnd } from '../auth/account-overrides.js'
import type { PostgresAccess } from '../http/postgres-access.js'
import type { Principal } from '../http/principal.js'
import { busy, throwUnavailable, unavailable } from '../http/problem.js'
import type { StreamMetrics } from '../operations/metrics.js'
import type { ChangeWatch } from './change-watch.js'
import { type ByeReason, byeFrame, COMMENT, retryFrame } from './frames.js'
import type { StreamResponse } from './stream-response.js'
import { type Shown, Topic } from './topic.js'

/** Shortest time between two reads of the process, and between two updates of a stream, ms. */
const INTERVAL_MS = 500
/**
 * How long a new stream waits for its first state, ms. It includes the wait for the next read. If
 * PostgreSQL is unreachable, clients are told within a second.
 */
const OPEN_WITHIN_MS = 950
/** A timer may fire this much too early, ms. */
const TIMER_ERROR_MS = 2
/** Maximum number of updates that a process writes in a second. */
const UPDATES_PER_SECOND = 2000
/** Time between two comments of a stream, ms. */
const COMMENT_EVERY_MS = 15_000
/** Time between two looks at all streams, ms. */
const SWEEP_EVERY_MS = 250
/** Streams that are written in one turn of the event loop, so that other requests do not wait. */
const STREAMS_A_TURN = 32
/** A client connects again after a random time in this range, ms. */
const RETRY_MS = { min: 1000, max: 5000 }
/** Clients of a process that stops connect again at this rate, or within the range above. */
const RECONNECTS_PER_SECOND = 1000
/** How long an event is watched for streams whose state was read, but that have not started, ms. */
const START_WITHIN_MS = 1000
/** How long the client of a stream that has ended may take to read the last event, ms. */
const END_WITHIN_MS = 5000

/** The streams of this process. */
export interface LiveStreams {
  /**
   * Reads the present state of an event for a new stream.
   *
   * @param userId the user whose standing the stream shows; undefined if it shows the status alone
   * @returns undefined if there is no such event
   * @throws AppError `unavailable`, or `busy` if this process stops
   */
  open(eventId: number, userId: string | undefined): Promise<OpeningStream | undefined>
  counts(): { status: number; standing: number }
  /** Ends all streams, and refuses new ones. */
  stop(): void
}

/** A stream whose state has been read. */
export interface OpeningStream {
  /**
   * Sends the state, and then every later one.
   *
   * @param principal whoever opened it; the stream ends when their token is no longer accepted
   * @param onEnd Called once, when the stream ends for any reason.
   */
  start(response: StreamResponse, principal: Principal | undefined, onEnd: () => void): void
}

export interface LiveStreamsDeps {
  read: (questions: LiveQuestion[]) => Promise<Map<number, LiveState | undefined>>
  watch: Pick<ChangeWatch, 'watch' | 'skip'>
  accounts: Pick<AccountOverrides, 'endOf' | 'onChange'>
  postgres: Pick<PostgresAccess, 'availability'>
  /** A stream whose client reads nothing for this long is closed, ms. */
  stallTimeoutMs: number
  metrics: StreamMetrics
  log: Log
  clock?: Clock
}

/** A topic, its streams, and what is known to have changed. */
interface WatchedTopic {
  topic: Topic
  streams: Set<LiveStream>
  openings: Opening[]
  /** The last change that was announced; undefined if the event does not exist any more. */
  announced: number | undefined
  /** The last change for which the claims of all users were read; null before the first read. */
  readChange: number | null
  /** Since when the streams do not show the last change, as `steadyMs`. */
  behindSinceMs: number
  /** Before this time the streams get no further update, as `steadyMs`. */
  notBeforeMs: number
  /** When the state of the sale changes by itself, as `steadyMs`. */
  transitionAtMs: number
  stopWatching(): void
}

interface Opening {
  userId: string | undefined
  resolve(opening: OpeningStream | undefined): void
  reject(error: Error): void
}

/**
 * An open stream. At most one update of it is on its way to the client: if the client has not read
 * it, the stream waits, and then sends the state that is the last one by then.
 */
interface LiveStream {
  watched: WatchedTopic
  shown: Shown
  response: StreamResponse
  principal: Principal | undefined
  onEnd: () => void
  nextCommentAtMs: number
  /** Since when the client has not read everything, as `steadyMs`; undefined if it has. */
  unreadSinceMs: number | undefined
  isWaiting: boolean
}

export function createLiveStreams(deps: LiveStreamsDeps): LiveStreams {
  const { watch, accounts, postgres, stallTimeoutMs, metrics, log, clock = systemClock } = deps
  const topics = new Map<number, WatchedTopic>()
  const streams = new Set<LiveStream>()
  const standingCount = { now: 0 }
  const byUser = new Map<string, Set<LiveStream>>()
  /** Topics whose streams do not show the last change. */
  const behind = new Set<WatchedTopic>()
  /** Topics with streams that have not started. */
  const opening = new Set<WatchedTopic>()
  /** Streams that have ended, and when their connections are closed, as `steadyMs`. */
  const ending = new Map<StreamResponse, number>()
  let isStopping = false
  let isFailing = false

  // --- Reading -------------------------------------------------------------------------------

  /** `idle`: nothing to read. `planned`: the next read is due at `atMs`. */
  let reading:
    | { kind: 'idle' }
    | { kind: 'planned'; atMs: number; timer: NodeJS.Timeout }
    | { kind: 'reading' } = { kind: 'idle' }
  let lastReadMs = Number.NEGATIVE_INFINITY
  let lastReadTookMs = 0

  /** The more streams there are, the fewer updates each of them gets. */
  const intervalMs = (): number => Math.max(INTERVAL_MS, (streams.size * 1000) / UPDATES_PER_SECOND)

  /** idle or planned → planned, if something must be read earlier than planned */
  function plan(): void {
    if (reading.kind === 'reading' || isStopping) return
    let atMs = opening.size > 0 ? 0 : Number.POSITIVE_INFINITY
    if (atMs > 0) for (const { notBeforeMs } of behind) atMs = Math.min(atMs, notBeforeMs)
    planAt(atMs)
  }

  function planAt(wantedMs: number): void {
    if (reading.kind === 'reading' || isStopping || wantedMs === Number.POSITIVE_INFINITY) return
    // If PostgreSQL is slow, it gets time for others.
    const atMs = Math.max(wantedMs, lastReadMs + Math.max(INTERVAL_MS, 2 * lastReadTookMs))
    if (reading.kind === 'planned') {
      if (reading.atMs <= atMs) return
      clearTimeout(reading.timer)
    }
    const timer = setTimeout(() => void readAll(), Math.max(0, atMs - clock.steadyMs()))
    reading = { kind: 'planned', atMs, timer }
  }

  /** planned → reading → idle or planned */
  async function readAll(): Promise<void> {
    reading = { kind: 'reading' }
    const nowMs = clock.steadyMs()
    const asked = ask(nowMs + TIMER_ERROR_MS)
    try {
      if (asked.length > 0) {
        lastReadMs = nowMs
        if (!postgres.availability.postgres()) throw unavailable()
        const found = await deps.read(asked.map(({ question }) => question))
        watch.skip(topics.keys())
        for (const each of asked) answer(each, found)
        if (isFailing) log.info('live updates can be read again')
        isFailing = false
      }
    } catch (err) {
      if (!isFailing)
        log.warn({ err }, 'cannot read live updates; streams show the last known state')
      isFailing = true
      for (const { watched, openings, isDue } of asked) {
        for (const { reject } of openings) reject(unavailable(err))
        if (isDue) behind.add(watched)
        if (openings.length > 0) forgetLater(watched)
      }
    }
    lastReadTookMs = clock.steadyMs() - nowMs
    reading = { kind: 'idle' }
    plan()
  }

  interface Asked {
    watched: WatchedTopic
    openings: Opening[]
    /** Whether all streams are updated, or only new ones started. */
    isDue: boolean
    question: LiveQuestion
  }

  /**
   * What the next read must find out. If some topic is due or has new streams, it is one question
   * about each topic, so that nobody else need look for changes that were not announced.
   */
  function ask(nowMs: number): Asked[] {
    const isDue = (watched: WatchedTopic) => behind.has(watched) && watched.notBeforeMs <= nowMs
    if (opening.size === 0 && ![...behind].some(isDue)) return []
    return [...topics.values()].map((watched) => {
      const { topic, openings } = watched
      const asked = { watched, openings, isDue: isDue(watched) }
      const userIds = new Set(asked.isDue ? topic.userIds() : [])
      for (const { userId } of openings) if (userId !== undefined) userIds.add(userId)
      const isSure = openings.length > 0 || watched.transitionAtMs <= nowMs
      watched.openings = []
      opening.delete(watched)
      if (asked.isDue) behind.delete(watched)
      const known = asked.isDue ? watched.readChange : topic.knownChange
      const knownChange = isSure ? null : known
      return { ...asked, question: { eventId: topic.eventId, knownChange, userIds: [...userIds] } }
    })
  }

  function answer(
    { watched, openings, isDue, question }: Asked,
    found: Map<number, LiveState | undefined>,
  ): void {
    const { topic } = watched
    // Nothing has changed since the last read.
    if (!found.has(topic.eventId)) return
    const state = found.get(topic.eventId)
    if (state === undefined) {
      removeTopic(watched, openings)
      return
    }
    const before = topic.knownChange
    topic.update(state, question)
    if (isDue || before === null) watched.readChange = state.lastChange
    const transitionMs = topic.nextTransitionMs()
    watched.transitionAtMs =
      transitionMs === undefined
        ? Number.POSITIVE_INFINITY
        : lastReadMs + (transitionMs - state.nowMs)
    if (isDue) {
      watched.notBeforeMs = lastReadMs + intervalMs()
      deliver(watched)
    } else if (before !== null && before !== state.lastChange) markBehind(watched)
    // Changes that were announced while this read ran may be part of it.
    if (isDue && watched.announced !== undefined && watched.announced <= state.lastChange)
      behind.delete(watched)
    for (const { userId, resolve } of openings) resolve(openingOf(watched, userId, state))
    if (openings.length > 0) forgetLater(watched)
  }

  function markBehind(watched: WatchedTopic): void {
    if (!behind.has(watched)) {
      behind.add(watched)
      watched.behindSinceMs = clock.steadyMs()
    }
    planAt(watched.notBeforeMs)
  }

  // --- Topics --------------------------------------------------------------------------------

  function topicOf(eventId: number): WatchedTopic {
    let watched = topics.get(eventId)
    if (watched !== undefined) return watched
    const created: WatchedTopic = {
      topic: new Topic(eventId),
      streams: new Set(),
      openings: [],
      announced: undefined,
      readChange: null,
      behindSinceMs: 0,
      notBeforeMs: 0,
      transitionAtMs: Number.POSITIVE_INFINITY,
      stopWatching: watch.watch(eventId, (lastChange) => {
        created.announced = lastChange
        if (created.streams.size > 0 && lastChange !== created.topic.knownChange)
          markBehind(created)
      }),
    }
    watched = created
    topics.set(eventId, watched)
    return watched
  }

  /** Forgets a topic without streams, after those that are opening had time to start. */
  function forgetLater(watched: WatchedTopic): void {
    setTimeout(() => forgetUnused(watched), START_WITHIN_MS).unref()
  }

  function forgetUnused(watched: WatchedTopic): void {
    const { topic, streams: own, openings } = watched
    if (own.size > 0 || openings.length > 0 || topics.get(topic.eventId) !== watched) return
    topics.delete(topic.eventId)
    behind.delete(watched)
    watched.stopWatching()
  }

  /** The event was deleted. Its clients learn that when they connect again. */
  function removeTopic(watched: WatchedTopic, openings: Opening[]): void {
    for (const { resolve } of openings) resolve(undefined)
    for (const stream of [...watched.streams]) {
      remove(stream)
      close(stream.response, COMMENT)
    }
    forgetUnused(watched)
  }

  // --- Streams -------------------------------------------------------------------------------

  function openingOf(
    watched: WatchedTopic,
    userId: string | undefined,
    state: LiveState,
  ): OpeningStream {
    return {
      start(response, principal, onEnd) {
        const nowMs = clock.steadyMs()
        const stream: LiveStream = {
          watched,
          shown: watched.topic.add(userId, state),
          response,
          principal,
          onEnd,
          // Spread evenly, even if all streams were opened at once.
          nextCommentAtMs: nowMs + Math.random() * COMMENT_EVERY_MS,
          unreadSinceMs: undefined,
          isWaiting: false,
        }
        add(stream)
        response.onClose(() => {
          ending.delete(response)
          if (remove(stream)) metrics.ended.inc({ reason: 'client' })
        })
        if (!streams.has(stream)) return
        const first = watched.topic.take(stream.shown)?.bytes ?? COMMENT
        response.write(Buffer.concat([retryFrame(between(RETRY_MS)), first]))
        // It may have changed since it was read.
        if ((watched.announced ?? 0) > (watched.topic.knownChange ?? 0)) markBehind(watched)
        const end = principal && accounts.endOf(principal)
        if (end !== undefined) endStream(stream, end)
        else if (isStopping) endStream(stream, 'shutdown')
      },
    }
  }

  let sweeping: Loop | undefined

  function add(stream: LiveStream): void {
    const { watched, principal, shown } = stream
    sweeping ??= every(SWEEP_EVERY_MS, sweep, {
      onError: (err) => log.error({ err }, 'could not check all streams'),
    })
    streams.add(stream)
    watched.streams.add(stream)
    if (shown.userId !== undefined) standingCount.now++
    if (principal === undefined) return
    const own = byUser.get(principal.userId) ?? new Set()
    byUser.set(principal.userId, own.add(stream))
  }

  /** @returns false if it was removed before */
  function remove(stream: LiveStream): boolean {
    const { watched, principal, shown } = stream
    if (!streams.delete(stream)) return false
    watched.streams.delete(stream)
    watched.topic.remove(shown)
    if (shown.userId !== undefined) standingCount.now--
    const own = principal && byUser.get(principal.userId)
    if (principal !== undefined && own?.delete(stream) && own.size === 0)
      byUser.delete(principal.userId)
    stream.onEnd()
    forgetUnused(watched)
    return true
  }

  /** Sends what a stream does not show yet, unless its client has not read what came before. */
  function send(stream: LiveStream): void {
    const { watched, shown, response } = stream
    if (stream.unreadSinceMs !== undefined || !streams.has(stream)) return
    if (response.unreadBytes() > 0) {
      stream.unreadSinceMs = clock.steadyMs()
      return
    }
    const due = watched.topic.take(shown)
    if (due === undefined) return
    response.write(due.bytes)
    if (due.status > 0) metrics.events.inc({ event: 'status' })
    if (due.standing > 0) metrics.events.inc({ event: 'standing' })
  }

  // --- Updates -------------------------------------------------------------------------------

  const waiting: LiveStream[] = []
  let nextWaiting = 0

  /** Updates the streams of a topic that do not show its last state, a few in each turn. */
  function deliver({ topic, streams: own }: WatchedTopic): void {
    for (const stream of own) {
      if (stream.isWaiting || !topic.isBehind(stream.shown)) continue
      stream.isWaiting = true
      if (waiting.push(stream) === 1) setImmediate(sendSome)
    }
  }

  function sendSome(): void {
    const nowMs = clock.steadyMs()
    const end = Math.min(nextWaiting + STREAMS_A_TURN, waiting.length)
    for (; nextWaiting < end; nextWaiting++) {
      const stream = waiting[nextWaiting] as LiveStream
      stream.isWaiting = false
      send(stream)
      metrics.lag.observe((nowMs - stream.watched.behindSinceMs) / 1000)
    }
    if (nextWaiting < waiting.length) setImmediate(sendSome)
    else {
      waiting.length = 0
      nextWaiting = 0
    }
  }

  // --- Comments, slow clients, ends ----------------------------------------------------------

  function sweep(): void {
    const nowMs = clock.steadyMs()
    const wallMs = clock.wallMs()
    for (const stream of streams) {
      const { response, principal } = stream
      if ((principal?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= wallMs)
        endStream(stream, 'expired')
      else if (stream.unreadSinceMs !== undefined) checkUnread(stream, nowMs)
      else if (stream.nextCommentAtMs <= nowMs) {
        stream.nextCommentAtMs += COMMENT_EVERY_MS
        if (response.unreadBytes() > 0) stream.unreadSinceMs = nowMs
        else response.write(COMMENT)
      }
    }
    for (const watched of topics.values()) {
      if (watched.transitionAtMs <= nowMs && watched.streams.size > 0) markBehind(watched)
    }
    for (const [response, untilMs] of ending) if (untilMs <= nowMs) response.destroy()
  }

  function checkUnread(stream: LiveStream, nowMs: number): void {
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

  function endStream(stream: LiveStream, reason: ByeReason, retryMs = between(RETRY_MS)): void {
    if (!remove(stream)) return
    metrics.ended.inc({ reason })
    close(stream.response, byeFrame(reason, retryMs))
  }

  function close(response: StreamResponse, last: Buffer): void {
    ending.set(response, clock.steadyMs() + END_WITHIN_MS)
    response.end(last)
  }

  accounts.onChange((userId) => {
    for (const stream of byUser.get(userId) ?? []) {
      const end: PrincipalEnd | undefined = stream.principal && accounts.endOf(stream.principal)
      if (end !== undefined) endStream(stream, end)
    }
  })

  async function endAll(): Promise<void> {
    const { min } = RETRY_MS
    const max = Math.max(RETRY_MS.max, min + (streams.size * 1000) / RECONNECTS_PER_SECOND)
    let count = 0
    for (const stream of [...streams]) {
      endStream(stream, 'shutdown', between({ min, max }))
      if (++count % STREAMS_A_TURN === 0) await sleep(0)
    }
  }

  return {
    async open(eventId, userId) {
      if (isStopping) throw busy(STOPPING)
      if (!postgres.availability.postgres()) throw unavailable()
      const watched = topicOf(eventId)
      const found = new Promise<OpeningStream | undefined>((resolve, reject) => {
        watched.openings.push({ userId, resolve, reject })
      })
      opening.add(watched)
      planAt(0)
      return withDeadline(found, OPEN_WITHIN_MS, throwUnavailable)
    },
    counts: () => ({
      status: streams.size - standingCount.now,
      standing: standingCount.now,
    }),
    stop() {
      isStopping = true
      if (reading.kind === 'planned') clearTimeout(reading.timer)
      for (const { openings } of opening) {
        for (const { reject } of openings) reject(busy(STOPPING))
      }
      void endAll()
      void sweeping?.stop()
    },
  }
}

/** Message of the 503 to a stream that a stopping process would have to end at once. */
const STOPPING = 'This process is stopping. Please connect again.'

/** A random time, so that clients do not all connect at the same moment, in whole ms. */
function between({ min, max }: { min: number; max: number }): number {
  return Math.floor(min + Math.random() * (max - min))
}
