import type { LastChangesRead } from '@ticket-line/db'
import { every, type Log } from '@ticket-line/shared'

/** What is known of an event whose changes are watched. */
export interface KnownChange {
  /** The number of its last change. */
  lastChange: number
  /** The epoch of the installation. Numbers of another epoch mean nothing in this one. */
  epoch: string
}

/** @param lastChange the number of the last change; undefined if the event does not exist */
export type ChangeListener = (lastChange: number | undefined) => void

/**
 * Knows the last change of each event that somebody in this process watches. It learns of changes
 * from announcements, and once a second from one read for all watched events, because announcements
 * may be lost.
 */
export interface ChangeWatch {
  /**
   * Watches an event.
   *
   * @param listener Called when the event has another last change than before, and when the epoch
   * changes. It must not throw. It may be called for a change that the caller already knows.
   * @returns a function that stops watching
   */
  watch(eventId: number, listener: ChangeListener): () => void
  /**
   * What is known now, at most a second old unless PostgreSQL is unavailable. Undefined if the
   * event does not exist, or nobody has watched it lately.
   */
  known(eventId: number): KnownChange | undefined
  /**
   * Called when a listener of these events has just read their last changes itself. The next read
   * of the watch leaves out those that have no other listener.
   */
  skip(eventIds: Iterable<number>): void
  /** Calls all listeners, so that they notice that the process stops. */
  drain(): void
  counts(): { events: number; listeners: number }
  close(): void
}

export interface ChangeWatchDeps {
  /** Reads the last changes of events; see `readLastChanges`. */
  read: (eventIds: number[]) => Promise<LastChangesRead>
  /** Connects the watch to announcements; see `followAnnouncements`. */
  follow: (handlers: {
    onChange: (eventId: number, lastChange: number) => void
    onListening: () => void
  }) => { start(): void; stop(): void; close(): void }
  /** Called when a watched event has a later change, with how this process learned of it. */
  onAdvance?: (source: ChangeSource) => void
  log: Log
}

export type ChangeSource = 'announcement' | 'read'

/** Time between two reads, ms. */
const READ_EVERY_MS = 1000
/**
 * An event stays watched for this many reads after its last listener has left, because most
 * listeners come back with their next request.
 */
const UNUSED_READS = 5

interface WatchedEvent {
  listeners: Set<ChangeListener>
  /** Undefined until something is learned; null if the event does not exist. */
  lastChange: number | null | undefined
  /** Reads since the last listener left. */
  unusedReads: number
  /** True if the next read may leave it out. */
  isSkipped: boolean
}

export function createChangeWatch(deps: ChangeWatchDeps): ChangeWatch {
  const watched = new Map<number, WatchedEvent>()
  let epoch: string | undefined

  function tell({ listeners, lastChange }: WatchedEvent): void {
    // A copy, because listeners leave when they are called.
    for (const listener of [...listeners]) listener(lastChange ?? undefined)
  }

  function onChange(eventId: number, lastChange: number): void {
    const event = watched.get(eventId)
    if (event === undefined || lastChange <= (event.lastChange ?? 0)) return
    event.lastChange = lastChange
    deps.onAdvance?.('announcement')
    tell(event)
  }

  function forgetUnused(): void {
    for (const [eventId, event] of watched) {
      if (event.listeners.size > 0) event.unusedReads = 0
      else if (++event.unusedReads > UNUSED_READS) watched.delete(eventId)
    }
  }

  async function readAll(): Promise<void> {
    forgetUnused()
    if (watched.size === 0) {
      announcements.stop()
      return
    }
    const before = new Map<number, WatchedEvent['lastChange']>()
    for (const [eventId, event] of watched) {
      if (!event.isSkipped || event.listeners.size > 1) before.set(eventId, event.lastChange)
      event.isSkipped = false
    }
    if (before.size === 0) return
    const found = await deps.read([...before.keys()])
    const isNewEpoch = epoch !== undefined && epoch !== found.epoch
    epoch = found.epoch
    for (const [eventId, lastBefore] of before) {
      const event = watched.get(eventId)
      const lastChange = found.lastChanges.get(eventId) ?? null
      if (event !== undefined) learn(event, lastBefore, lastChange, isNewEpoch)
    }
  }

  /**
   * Takes over what a read has found, even if the number is lower than before: an older copy of the
   * database may have been restored, or the event deleted. But if a higher number was announced
   * while the read ran, that one stays.
   *
   * @param lastBefore what was known when the read began
   */
  function learn(
    event: WatchedEvent,
    lastBefore: WatchedEvent['lastChange'],
    found: number | null,
    isNewEpoch: boolean,
  ): void {
    const { lastChange } = event
    if (lastChange !== lastBefore && (found ?? 0) < (lastChange ?? 0)) return
    if (found === lastChange && !isNewEpoch) return
    event.lastChange = found
    if (found !== null && found > (lastBefore ?? found)) deps.onAdvance?.('read')
    tell(event)
  }

  const reading = every(READ_EVERY_MS, readAll, {
    // The probes of PostgreSQL log its loss.
    onError: (err) => deps.log.debug({ err }, 'could not read the last changes'),
  })
  const announcements = deps.follow({ onChange, onListening: () => void reading.runNow() })

  return {
    watch(eventId, listener) {
      let event = watched.get(eventId)
      if (event === undefined) {
        event = { listeners: new Set(), lastChange: undefined, unusedReads: 0, isSkipped: false }
        watched.set(eventId, event)
      }
      const { listeners } = event
      // The set needs a function of its own for each call, even if two calls pass the same one.
      const own: ChangeListener = (lastChange) => listener(lastChange)
      listeners.add(own)
      announcements.start()
      return () => void listeners.delete(own)
    },
    known(eventId) {
      const lastChange = watched.get(eventId)?.lastChange
      return typeof lastChange !== 'number' || epoch === undefined
        ? undefined
        : { lastChange, epoch }
    },
    skip(eventIds) {
      for (const eventId of eventIds) {
        const event = watched.get(eventId)
        if (event !== undefined) event.isSkipped = true
      }
    },
    drain() {
      for (const event of watched.values()) tell(event)
    },
    counts() {
      let listeners = 0
      for (const event of watched.values()) listeners += event.listeners.size
      return { events: watched.size, listeners }
    },
    close() {
      void reading.stop()
      announcements.close()
    },
  }
}
