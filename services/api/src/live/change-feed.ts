import { type ChangePage, type ChangeRange, type Pool, pageChanges } from '@ticket-line/db'
import { AppError, type Clock, type LoggedChange, sleep, systemClock } from '@ticket-line/shared'
import type { ExportedRows } from '../events/send-export.js'
import { callPostgres, type PostgresAccess } from '../http/postgres-access.js'
import { CHANGES_PRUNED, eventNotFound, unavailable } from '../http/problem.js'
import type { Lifecycle } from '../http/request-context.js'
import type { ChangeWatch, KnownChange } from './change-watch.js'

/** Changes that a reader asks for. */
export interface ChangeRequest extends ChangeRange {
  /** The epoch in which the reader got `after`; undefined if it does not say. */
  epoch?: string | undefined
}

/** What a reader gets. */
export type ChangesRead = Pick<ChangePage, 'changes' | 'next' | 'epoch'>

/**
 * The changes of events, for readers. Every method throws AppError `event_not_found`,
 * `epoch_changed` or `changes_pruned` if the reader cannot continue after `after`, and
 * `unavailable` if PostgreSQL cannot be read.
 */
export interface ChangeFeed {
  read(request: ChangeRequest): Promise<ChangesRead>
  /**
   * Waits for changes if there are none. Returns an empty page after `waitMs`, and when the process
   * stops or the client leaves. It holds no connection to PostgreSQL while it waits.
   *
   * @param left aborted when the client leaves
   */
  wait(request: ChangeRequest, waitMs: number, left: AbortSignal): Promise<ChangesRead>
  /** Reads all changes up to the last one at the time of the call. */
  export(request: Omit<ChangeRequest, 'limit'>): Promise<ChangeExport>
}

export interface ChangeExport extends ExportedRows<LoggedChange> {
  lastChange: number
  epoch: string
}

export interface ChangeFeedDeps {
  pool: Pool
  /** Connections for exports. One is used for each page, not for the whole export. */
  exportPool: Pool
  postgres: PostgresAccess
  watch: Pick<ChangeWatch, 'watch' | 'known'>
  lifecycle: Lifecycle
  /** Called when clients that waited get changes, with the age of the first one, s. */
  onDelivered?: (ageSeconds: number) => void
  clock?: Clock
}

/** Maximum number of changes in a page of an export. They are in memory at the same time. */
const EXPORT_PAGE = 1000
/** Maximum number of changes in a read that all clients share who have waited for an event. */
const SHARED_PAGE = 1000

/** Message of `epoch_changed`. */
export const EPOCH_CHANGED =
  'The database was restored, so your numbers of changes are no longer valid. Read the lists of the event, and follow its changes from the beginning.'

/** @throws AppError if the reader cannot continue from where it is */
function checkPage(page: ChangePage | undefined, { after, epoch }: ChangeRequest): ChangePage {
  if (page === undefined) throw eventNotFound()
  if ((epoch !== undefined && epoch !== page.epoch) || after > page.lastChange)
    throw new AppError('epoch_changed', EPOCH_CHANGED)
  // An event with the id of a deleted one continues its numbers, so its first change need not be 1.
  const isFromStart = after === 0 && page.isWhole
  if (after + 1 < page.oldest && !isFromStart)
    throw new AppError('changes_pruned', CHANGES_PRUNED, { oldest: page.oldest })
  return page
}

/** Takes what a reader asked for from a page that has changes of all types. */
function partOf(page: ChangePage, { types, limit }: ChangeRequest): ChangePage {
  const matching = types ? page.changes.filter(({ type }) => types.includes(type)) : page.changes
  if (matching.length <= limit) return { ...page, changes: matching }
  const changes = matching.slice(0, limit)
  return { ...page, changes, next: (changes.at(-1) as LoggedChange).no }
}

/** @returns an empty page if it is known without a read that there is nothing after `after` */
function emptyPage(
  { after, epoch }: ChangeRequest,
  known: KnownChange | undefined,
): ChangePage | undefined {
  if (known?.lastChange !== after || (epoch !== undefined && epoch !== known.epoch))
    return undefined
  return {
    changes: [],
    next: after,
    lastChange: after,
    oldest: after + 1,
    isWhole: false,
    epoch: known.epoch,
  }
}

export function createChangeFeed(deps: ChangeFeedDeps): ChangeFeed {
  const { pool, exportPool, postgres, watch, lifecycle, clock = systemClock } = deps

  async function read(request: ChangeRequest): Promise<ChangePage> {
    const page = await callPostgres(postgres, () => pageChanges(pool, request))
    return checkPage(page, request)
  }

  /** The reads that are in progress for clients that wait. */
  const shared = new Map<string, Promise<ChangePage | undefined>>()

  /**
   * Reads for clients that wait. Clients that ask for the same changes share a read, so a thousand
   * that connect at once cost one. A read that began before a client came may miss a change. Then
   * `isNewTo` finds the change, and the client does not wait.
   */
  async function readShared(range: ChangeRange): Promise<ChangePage | undefined> {
    const { eventId, after, limit, types } = range
    const key = `${eventId}:${after}:${limit}:${types?.join() ?? ''}`
    let page = shared.get(key)
    if (page === undefined) {
      page = callPostgres(postgres, () => pageChanges(pool, range))
      shared.set(key, page)
      const forget = (): void => void shared.delete(key)
      page.then(forget, forget)
    }
    return page
  }

  /**
   * Reads what comes after the last change that a client knows. Usually all clients that wait for
   * an event know the same change, and share the read, whatever types they ask for.
   */
  async function readNews(request: ChangeRequest): Promise<ChangePage> {
    const { eventId, after } = request
    const page = checkPage(await readShared({ eventId, after, limit: SHARED_PAGE }), request)
    const first = page.changes[0]
    if (first !== undefined) countDelivered(page, first)
    return partOf(page, request)
  }

  const counted = new WeakSet<ChangePage>()

  /** Counts a page once, however many clients get it. */
  function countDelivered(page: ChangePage, first: LoggedChange): void {
    if (counted.has(page)) return
    counted.add(page)
    deps.onDelivered?.(Math.max(0, clock.wallMs() - first.atMs) / 1000)
  }

  /**
   * Waits until this process learns that the event differs from what a page says.
   *
   * @returns false if the time is over before that
   */
  async function untilNews(page: ChangePage, news: News, msLeft: () => number): Promise<boolean> {
    for (;;) {
      const ms = msLeft()
      if (ms <= 0) return false
      if (news.isNewTo(page)) return true
      await news.next(ms)
    }
  }

  async function wait(
    request: ChangeRequest,
    waitMs: number,
    left: AbortSignal,
  ): Promise<ChangePage> {
    const { eventId } = request
    const untilMs = clock.steadyMs() + waitMs
    const msLeft = (): number =>
      lifecycle.draining || left.aborted ? 0 : untilMs - clock.steadyMs()
    if (!postgres.availability.postgres()) throw unavailable()
    // The watch begins before the page is read, so that no change between them is missed.
    using news = watchForNews(watch, eventId, left)
    let page =
      emptyPage(request, watch.known(eventId)) ?? checkPage(await readShared(request), request)
    while (page.changes.length === 0) {
      const rest = { ...request, after: page.next, epoch: page.epoch }
      if (page.next === page.lastChange) {
        if (!(await untilNews(page, news, msLeft))) break
        page = await readNews(rest)
      } else {
        // So far, only changes of other types were looked at.
        if (msLeft() <= 0) break
        page = checkPage(await readShared(rest), rest)
      }
    }
    return page
  }

  async function* pagesAfter(
    first: ChangePage,
    range: Omit<ChangeRange, 'after' | 'limit'>,
  ): AsyncGenerator<LoggedChange[]> {
    let after = first.next
    while (after < first.lastChange) {
      const request = { ...range, after, limit: EXPORT_PAGE, epoch: first.epoch }
      const page = checkPage(await pageChanges(exportPool, request), request)
      const changes = page.changes.filter(({ no }) => no <= first.lastChange)
      if (changes.length > 0) yield changes
      after = page.next
    }
  }

  return {
    read,
    wait,
    async export(asked) {
      const request = { ...asked, limit: EXPORT_PAGE }
      const read = callPostgres(postgres, () => pageChanges(exportPool, request))
      const first = checkPage(await read, request)
      const { lastChange, epoch, changes } = first
      return { lastChange, epoch, first: changes, rest: pagesAfter(first, asked) }
    },
  }
}

/** What a client that waits learns of its event. */
interface News extends Disposable {
  /** True if the event is known to differ from what a page says. */
  isNewTo(page: ChangePage): boolean
  /** Resolves when something is learned, and after `ms`. */
  next(ms: number): Promise<void>
}

function watchForNews(watch: ChangeFeedDeps['watch'], eventId: number, left: AbortSignal): News {
  let learned: { lastChange: number | undefined } | undefined
  let sleeping: AbortController | undefined
  let isFirst = true
  const stop = watch.watch(eventId, (lastChange) => {
    learned = { lastChange }
    wake()
  })
  function wake(): void {
    sleeping?.abort()
  }
  left.addEventListener('abort', wake)
  return {
    isNewTo({ lastChange, epoch }) {
      const known = watch.known(eventId)
      // The page may come from a read that began before the watch.
      const isBehind = isFirst && known !== undefined && known.lastChange > lastChange
      const isOther =
        learned !== undefined && (learned.lastChange !== lastChange || known?.epoch !== epoch)
      // What was learned is new only once, so that a wrong announcement causes at most one read.
      isFirst = false
      learned = undefined
      return isBehind || isOther
    },
    async next(ms) {
      sleeping = new AbortController()
      await sleep(ms, sleeping.signal)
    },
    [Symbol.dispose]() {
      left.removeEventListener('abort', wake)
      stop()
    },
  }
}
