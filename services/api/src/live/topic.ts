import type { LiveQuestion, LiveState, UserClaim } from '@ticket-line/db'
import { saleStateOf } from '@ticket-line/shared'
import { standingFrame, statusFrame } from './frames.js'

/** A user whose standing some stream shows. */
interface Viewer {
  claim: UserClaim
  /** Counts how often the claim has changed. */
  version: number
  /** The bytes of this version; made when a stream first needs them, and shared by all streams. */
  frame: Buffer | undefined
  /** Number of streams that show it. */
  streams: number
}

/** What a stream has sent last. */
export interface Shown {
  /** The user whose standing it shows; undefined if it shows the status alone. */
  userId: string | undefined
  statusVersion: number
  standingVersion: number
}

/** The events that a stream has to send. */
export interface Due {
  bytes: Buffer
  /** How many of them are `status`, and `standing`. */
  status: number
  standing: number
}

const NO_CLAIM: UserClaim = { standing: 'none' }

/**
 * An event as its streams show it. All streams with the same content send the same bytes, which are
 * made once.
 */
export class Topic {
  /** The last state that was read; undefined before the first read. */
  #state: LiveState | undefined
  #statusVersion = 0
  #statusFrame: Buffer | undefined
  readonly #viewers = new Map<string, Viewer>()

  constructor(readonly eventId: number) {}

  /** The last change of the state that was read; null before the first read. */
  get knownChange(): number | null {
    return this.#state?.lastChange ?? null
  }

  /** The users of open streams. */
  userIds(): Iterable<string> {
    return this.#viewers.keys()
  }

  /**
   * When the state of the sale changes although nobody does anything: the sale opens or closes.
   *
   * @returns ms since 1970; undefined if it does not
   */
  nextTransitionMs(): number | undefined {
    const state = this.#state
    if (state === undefined) return undefined
    const times = [state.opensAtMs, state.closesAtMs].filter(
      (time): time is number => time !== null && time > state.nowMs,
    )
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /**
   * Takes over a state that was read.
   *
   * @param asked the users whose claims were read. The claims of others are older than the state
   */
  update(state: LiveState, { userIds }: Pick<LiveQuestion, 'userIds'>): void {
    const before = this.#state
    const isSame =
      before?.lastChange === state.lastChange &&
      saleStateOf(before, before.nowMs) === saleStateOf(state, state.nowMs)
    if (!isSame) this.#statusVersion++
    this.#state = state
    // Even if nothing has changed, a new stream gets the present time.
    this.#statusFrame = undefined
    for (const userId of userIds) {
      const viewer = this.#viewers.get(userId)
      const claim = state.claims.get(userId) ?? NO_CLAIM
      if (viewer === undefined || isSameClaim(viewer.claim, claim)) continue
      viewer.claim = claim
      viewer.version++
      viewer.frame = undefined
    }
  }

  /** Adds a stream that has sent nothing yet. `state` must have the claim of its user. */
  add(userId: string | undefined, state: LiveState): Shown {
    if (userId !== undefined) {
      const viewer = this.#viewers.get(userId) ?? {
        claim: state.claims.get(userId) ?? NO_CLAIM,
        version: 1,
        frame: undefined,
        streams: 0,
      }
      viewer.streams++
      this.#viewers.set(userId, viewer)
    }
    return { userId, statusVersion: 0, standingVersion: 0 }
  }

  /** Removes a stream. */
  remove({ userId }: Shown): void {
    const viewer = userId === undefined ? undefined : this.#viewers.get(userId)
    if (userId !== undefined && viewer !== undefined && --viewer.streams === 0)
      this.#viewers.delete(userId)
  }

  /** True if a stream has not sent the last state. */
  isBehind(shown: Shown): boolean {
    return (
      shown.statusVersion !== this.#statusVersion ||
      (shown.userId !== undefined &&
        shown.standingVersion !== this.#viewers.get(shown.userId)?.version)
    )
  }

  /** What a stream has to send; undefined if nothing. It counts as sent from now on. */
  take(shown: Shown): Due | undefined {
    const state = this.#state
    if (state === undefined) return undefined
    const due: Due = { bytes: NOTHING, status: 0, standing: 0 }
    if (shown.statusVersion !== this.#statusVersion) {
      shown.statusVersion = this.#statusVersion
      this.#statusFrame ??= statusFrame(this.eventId, state)
      due.bytes = this.#statusFrame
      due.status = 1
    }
    const { userId } = shown
    const viewer = userId === undefined ? undefined : this.#viewers.get(userId)
    if (userId !== undefined && viewer !== undefined && viewer.version !== shown.standingVersion) {
      shown.standingVersion = viewer.version
      viewer.frame ??= standingFrame(this.eventId, userId, viewer.claim, state.lastChange)
      due.bytes = due.status === 0 ? viewer.frame : Buffer.concat([due.bytes, viewer.frame])
      due.standing = 1
    }
    return due.bytes === NOTHING ? undefined : due
  }
}

const NOTHING = Buffer.alloc(0)

function isSameClaim(a: UserClaim, b: UserClaim): boolean {
  if (a.standing === 'waiting') return b.standing === 'waiting' && a.position === b.position
  if (a.standing === 'none') return b.standing === 'none'
  if (a.standing !== b.standing || a.bookingId !== b.bookingId) return false
  if (a.standing === 'booked' || b.standing === 'booked') return true
  return a.offered === b.offered && a.expiresAt.getTime() === b.expiresAt.getTime()
}
