/**
 * An announcement says that events have new changes: it names events and the number of the last
 * change of each. Workers announce after COMMIT.
 *
 * Announcements are pub/sub messages, so one that nobody receives costs almost nothing. Any of them
 * may be lost. A process that needs every change also reads the numbers in PostgreSQL.
 */
import { isEventId, type LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { changesChannel, shardPrefix } from './keys.js'

/** The number of the last change of each event, by event id. */
export type LastChanges = ReadonlyMap<number, number>

/** The channel of an installation. */
export function channelOf(layout: Pick<LineLayout, 'keyPrefix'>): string {
  return changesChannel(shardPrefix(0, layout))
}

/** The text of an announcement, such as `42:1025 43:7`; empty if there is nothing to announce. */
export function announcementOf(lastChanges: LastChanges | undefined): string {
  let text = ''
  if (lastChanges === undefined) return text
  for (const [eventId, no] of lastChanges) text += `${text === '' ? '' : ' '}${eventId}:${no}`
  return text
}

const ENTRY = /^([1-9]\d{0,15}):([1-9]\d{0,15})$/

/** Announces changes that were made outside a line. */
export function announce(
  redis: Redis,
  layout: LineLayout,
  lastChanges: LastChanges,
): Promise<unknown> {
  return redis.publish(channelOf(layout), announcementOf(lastChanges))
}

export interface FollowAnnouncementsOptions {
  /** A connection from `createReaderRedis` that nothing else uses. */
  redis: Redis
  layout: LineLayout
  /** Called for each event of an announcement. It must not throw. */
  onChange: (eventId: number, lastChange: number) => void
  /**
   * Called when this process has begun to receive announcements: after `start`, and after each new
   * connection. Changes before that may have been missed.
   */
  onListening: () => void
}

/** The announcements that a process receives, from `start` to `stop`. */
export interface Announcements {
  start(): void
  stop(): void
  /** Stops, and closes the connection. */
  close(): void
}

/** Follows the announcements of an installation. It begins stopped. */
export function followAnnouncements({
  redis,
  layout,
  onChange,
  onListening,
}: FollowAnnouncementsOptions): Announcements {
  const channel = channelOf(layout)
  let isStarted = false

  /** If the connection breaks before the reply, the next `ready` subscribes again. */
  function subscribe(): void {
    redis.subscribe(channel).then(
      () => isStarted && onListening(),
      () => undefined,
    )
  }

  // ioredis subscribes again by itself, but does not say when that is done.
  redis.on('ready', () => isStarted && subscribe())
  redis.on('message', (_channel: string, text: string) => {
    if (!isStarted) return
    for (const entry of text.split(' ')) {
      const [, eventId, no] = ENTRY.exec(entry) ?? []
      // Anyone with access to Redis can publish.
      if (isEventId(Number(eventId)) && Number.isSafeInteger(Number(no)))
        onChange(Number(eventId), Number(no))
    }
  })

  return {
    start() {
      if (isStarted) return
      isStarted = true
      if (redis.status === 'ready') subscribe()
    },
    stop() {
      if (!isStarted) return
      isStarted = false
      if (redis.status === 'ready') redis.unsubscribe(channel).catch(() => undefined)
    },
    close() {
      isStarted = false
      redis.disconnect()
    },
  }
}
