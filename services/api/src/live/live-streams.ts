import type { LiveQuestion, LiveState } from '@ticket-line/db'
import { systemClock, withDeadline } from '@ticket-line/shared'
import type { PostgresAccess } from '../http/postgres-access.js'
import type { Principal } from '../http/principal.js'
import { busy, throwUnavailable, unavailable } from '../http/problem.js'
import type { ChangeWatch } from './change-watch.js'
import { createOpenStreams, type OpenStream, type OpenStreamsDeps } from './open-streams.js'
import type { StreamResponse } from './stream-response.js'
import { Topic } from './topic.js'

/** Shortest time between two reads of the process, and between two updates of a stream, ms. */
const INTERVAL_MS = 500
/** Maximum number of updates that a process writes in a second. */
const UPDATES_PER_SECOND = 2000
/**
 * How long a new stream waits for its first state, ms. This includes the wait for the next read. If
 * PostgreSQL is unreachable, the client gets its 503 within a second.
 */
const OPEN_WITHIN_MS = 950
/** How long a topic without streams is kept after a read for new streams, which start then, ms. */
const START_WITHIN_MS = 1000
/** A timer may fire this much too early, ms. */
const TIMER_ERROR_MS = 2

/** The live updates of this process: which events it watches, and when it reads them. */
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
   * Sends the state, and from then on updates.
   *
   * @param principal whoever opened it; the stream ends when their token is no longer accepted
   * @param onEnd Called once, when the stream ends for any reason.
   */
  start(response: StreamResponse, principal: Principal | undefined, onEnd: () => void): void
}

export interface LiveStreamsDeps extends Omit<OpenStreamsDeps, 'clock'> {
  read: (questions: LiveQuestion[]) => Promise<Map<number, LiveState | undefined>>
  watch: Pick<ChangeWatch, 'watch' | 'skip'>
  postgres: Pick<PostgresAccess, 'availability'>
  clock?: OpenStreamsDeps['clock']
}

/** A topic, its streams, and what is known to have changed. */
interface WatchedTopic {
  topic: Topic
  streams: Set<OpenStream>
  /** Streams that wait for the next read. */
  openings: Opening[]
  /** Streams that have not started. The topic is kept for them. */
  starting: Set<Opening>
  /** The last change that the watch has reported; undefined if none, or if the event is gone. */
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

/** A question about a topic, and who needs the answer. */
interface Asked {
  watched: WatchedTopic
  openings: Opening[]
  /** Whether all streams are updated, or only new ones started. */
  isDue: boolean
  question: LiveQuestion
}

/**
 * `idle`: there is nothing to read. `planned`: the next read begins at `atMs`. `stopped`: nothing
 * is read any more.
 */
type Reading =
  | { kind: 'idle' | 'reading' | 'stopped' }
  | { kind: 'planned'; atMs: number; timer: NodeJS.Timeout }

export function createLiveStreams(deps: LiveStreamsDeps): LiveStreams {
  const { read, watch, postgres, log, clock = systemClock } = deps
  const streams = createOpenStreams({ ...deps, clock })
  const topics = new Map<number, WatchedTopic>()
  /** Topics whose streams do not show the last change. */
  const behind = new Set<WatchedTopic>()
  /** Topics with streams that have not started. */
  const opening = new Set<WatchedTopic>()
  let reading: Reading = { kind: 'idle' }
  let lastReadMs = Number.NEGATIVE_INFINITY
  let lastReadTookMs = 0
  let isFailing = false

  /** The more streams there are, the fewer updates each of them gets. */
  const intervalMs = (): number =>
    Math.max(INTERVAL_MS, (streams.size() * 1000) / UPDATES_PER_SECOND)

  /** idle or planned → planned, if the read is to begin earlier than planned */
  function planAt(wantedMs: number): void {
    if (reading.kind === 'reading' || reading.kind === 'stopped') return
    // If PostgreSQL is slow, the pause leaves it time for other statements.
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
    if (asked.length > 0) {
      lastReadMs = nowMs
      await findOut(asked)
      lastReadTookMs = clock.steadyMs() - nowMs
    }
    if (isStopped()) return
    reading = { kind: 'idle' }
    if (opening.size > 0) planAt(0)
    for (const { notBeforeMs } of behind) planAt(notBeforeMs)
  }

  /** `stop` may have been called while a read ran. */
  const isStopped = (): boolean => reading.kind === 'stopped'

  async function findOut(asked: Asked[]): Promise<void> {
    try {
      if (!postgres.availability.postgres()) throw unavailable()
      const found = await read(asked.map(({ question }) => question))
      watch.skip(topics.keys())
      for (const each of asked) answer(each, found)
      if (isFailing) log.info('live updates can be read again')
      isFailing = false
    } catch (err) {
      if (!isFailing)
        log.warn({ err }, 'cannot read live updates; streams show the last known state')
      isFailing = true
      for (const { watched, openings, isDue } of asked) {
        for (const { reject } of openings) reject(unavailable(err))
        if (isDue) behind.add(watched)
        if (openings.length > 0) forgetLater(watched, openings)
      }
    }
  }

  /**
   * The questions of the next read. There are none if no topic is due or has new streams. Otherwise
   * all topics are asked about. The read then also finds changes that were not announced, so the
   * watch need not look for them.
   */
  function ask(nowMs: number): Asked[] {
    const isDue = (watched: WatchedTopic) => behind.has(watched) && watched.notBeforeMs <= nowMs
    if (opening.size === 0 && ![...behind].some(isDue)) return []
    return [...topics.values()].map((watched) => {
      const { topic, openings } = watched
      const asked = { watched, openings, isDue: isDue(watched) }
      const userIds = new Set(asked.isDue ? topic.userIds() : [])
      for (const { userId } of openings) if (userId !== undefined) userIds.add(userId)
      const needsState = openings.length > 0 || watched.transitionAtMs <= nowMs
      watched.openings = []
      opening.delete(watched)
      if (asked.isDue) behind.delete(watched)
      const known = asked.isDue ? watched.readChange : topic.knownChange
      const knownChange = needsState ? null : known
      return { ...asked, question: { eventId: topic.eventId, knownChange, userIds: [...userIds] } }
    })
  }

  function answer(
    { watched, openings, isDue, question }: Asked,
    found: Map<number, LiveState | undefined>,
  ): void {
    const { topic } = watched
    // Nothing has changed since the last read of this event.
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
      streams.update(watched.streams, watched.behindSinceMs)
      // Changes that were announced while this read ran may be part of it.
      if (watched.announced !== undefined && watched.announced <= state.lastChange)
        behind.delete(watched)
    } else if (before !== null && before !== state.lastChange) markBehind(watched)
    for (const opening of openings) opening.resolve(openingOf(watched, opening, state))
    if (openings.length > 0) forgetLater(watched, openings)
  }

  function markBehind(watched: WatchedTopic): void {
    if (watched.streams.size === 0) return
    if (!behind.has(watched)) {
      behind.add(watched)
      watched.behindSinceMs = clock.steadyMs()
    }
    planAt(watched.notBeforeMs)
  }

  streams.onSweep(() => {
    const nowMs = clock.steadyMs()
    for (const watched of topics.values()) if (watched.transitionAtMs <= nowMs) markBehind(watched)
  })

  function topicOf(eventId: number): WatchedTopic {
    const known = topics.get(eventId)
    if (known !== undefined) return known
    const watched: WatchedTopic = {
      topic: new Topic(eventId),
      streams: new Set(),
      openings: [],
      starting: new Set(),
      announced: undefined,
      readChange: null,
      behindSinceMs: 0,
      notBeforeMs: 0,
      transitionAtMs: Number.POSITIVE_INFINITY,
      stopWatching: watch.watch(eventId, (lastChange) => {
        watched.announced = lastChange
        if (lastChange !== watched.topic.knownChange) markBehind(watched)
      }),
    }
    topics.set(eventId, watched)
    return watched
  }

  /** Gives streams that are opening time to start. Then forgets the topic if it has no streams. */
  function forgetLater(watched: WatchedTopic, openings: Opening[]): void {
    setTimeout(() => {
      for (const opening of openings) watched.starting.delete(opening)
      forgetUnused(watched)
    }, START_WITHIN_MS).unref()
  }

  function forgetUnused(watched: WatchedTopic): void {
    const { topic } = watched
    if (watched.streams.size > 0 || watched.starting.size > 0) return
    if (topics.get(topic.eventId) !== watched) return
    topics.delete(topic.eventId)
    behind.delete(watched)
    watched.stopWatching()
  }

  /** The event was deleted. Its clients learn that when they connect again. */
  function removeTopic(watched: WatchedTopic, openings: Opening[]): void {
    for (const opening of openings) {
      watched.starting.delete(opening)
      opening.resolve(undefined)
    }
    for (const stream of [...watched.streams]) streams.close(stream)
    forgetUnused(watched)
  }

  function openingOf(watched: WatchedTopic, opening: Opening, state: LiveState): OpeningStream {
    const { topic } = watched
    return {
      start(response, principal, onEnd) {
        watched.starting.delete(opening)
        streams.add({
          topic,
          siblings: watched.streams,
          shown: topic.add(opening.userId, state),
          response,
          principal,
          onEnd() {
            onEnd()
            forgetUnused(watched)
          },
        })
        // The event may have changed since it was read.
        if ((watched.announced ?? 0) > (topic.knownChange ?? 0)) markBehind(watched)
      },
    }
  }

  return {
    async open(eventId, userId) {
      if (isStopped()) throw busy(STOPPING)
      if (!postgres.availability.postgres()) throw unavailable()
      const watched = topicOf(eventId)
      const found = new Promise<OpeningStream | undefined>((resolve, reject) => {
        const opened = { userId, resolve, reject }
        watched.openings.push(opened)
        watched.starting.add(opened)
      })
      opening.add(watched)
      planAt(0)
      return withDeadline(found, OPEN_WITHIN_MS, throwUnavailable)
    },
    counts: streams.counts,
    stop() {
      if (reading.kind === 'planned') clearTimeout(reading.timer)
      reading = { kind: 'stopped' }
      for (const { openings } of opening) for (const { reject } of openings) reject(busy(STOPPING))
      streams.endAll()
    },
  }
}

/** Message of the 503 to a stream that a stopping process would have to end at once. */
const STOPPING = 'This process is stopping. Please connect again.'
