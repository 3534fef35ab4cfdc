import { hasCode } from './errors.js'
import type { SaleState, Standing } from './schemas.js'
import { pause } from './transport.js'

/** The state of an event, as its stream sends it. */
export interface LiveStatus {
  eventId: number
  state: SaleState
  availableTickets: number
  heldTickets: number
  waitingListCount: number
  /** The server's clock, ISO 8601, to correct the clock of this machine. */
  serverTime: string
}

/** Sent first, and whenever the state or the counts of the event have changed. */
export interface StatusUpdate {
  event: 'status'
  /** Number of the last change of the event. */
  changeNo: number
  data: LiveStatus
}

/** Sent first, and whenever the user's standing, position or deadline has changed. */
export interface StandingUpdate {
  event: 'standing'
  changeNo: number
  data: Standing
}

export type Update = StatusUpdate | StandingUpdate

/**
 * The connection of a stream: not there yet, sending updates, or lost until the next attempt. It is
 * `lost` with an error if that is why, for example a 429.
 */
export type Connection =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'lost'; error?: unknown; retryInMs: number }

export interface FollowOptions {
  signal?: AbortSignal | undefined
  /** Called when the connection changes. */
  onConnection?: ((connection: Connection) => void) | undefined
}

/** If nothing arrives for this long, the connection is dead, ms. Comments arrive every 15 s. */
const IDLE_TIMEOUT_MS = 40_000
/** The pause before a new connection if the API did not say how long, ms. */
const DEFAULT_RETRY_MS = 3000

/** One server-sent event (HTML Living Standard, section 9.2). */
interface Frame {
  event: string
  id: string
  data: string | undefined
  retryMs: number | undefined
}

/**
 * Follows a stream, and connects again whenever it ends. The first update after each connection is
 * the present state, so nothing that matters is lost in between.
 *
 * @param open opens a connection
 * @throws the error of `open` if the API refuses the stream for good
 */
export async function* followStream(
  open: () => Promise<ReadableStream<Uint8Array>>,
  { signal, onConnection }: FollowOptions = {},
): AsyncGenerator<Update, void, undefined> {
  let retryMs = DEFAULT_RETRY_MS
  while (!signal?.aborted) {
    let failure: unknown
    onConnection?.({ kind: 'connecting' })
    try {
      let isLive = false
      for await (const frame of readFrames(await open())) {
        retryMs = frame.retryMs ?? retryMs
        // The server closes the connection. The next one gets a new token, or is refused.
        if (frame.event === 'bye') break
        if (frame.data === undefined) continue
        const { event, id, data } = frame
        if (event !== 'status' && event !== 'standing') continue
        if (!isLive) onConnection?.({ kind: 'live' })
        isLive = true
        yield { event, changeNo: Number(id), data: JSON.parse(data) } as Update
      }
    } catch (error) {
      if (signal?.aborted) return
      if (hasCode(error) && error.status < 500 && error.status !== 429) throw error
      failure = error
    }
    if (signal?.aborted) return
    const retryInMs = Math.max(retryMs, askedPauseMs(failure))
    onConnection?.({ kind: 'lost', error: failure, retryInMs })
    // If the signal is aborted meanwhile, the loop ends.
    await pause(retryInMs, signal).catch(() => undefined)
  }
}

/** How long a refusal asks to wait, ms. An attempt before that would be refused, too. */
function askedPauseMs(error: unknown): number {
  return hasCode(error) ? (error.retryAfterSeconds ?? 0) * 1000 : 0
}

/** Reads the events of a response until it ends, breaks, or is silent for too long. */
async function* readFrames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const silent = setTimeout(() => void reader.cancel(), IDLE_TIMEOUT_MS)
      const { done, value } = await reader.read().finally(() => clearTimeout(silent))
      if (done) return
      text += decoder.decode(value, { stream: true })
      const blocks = text.split(/\r?\n\r?\n/)
      text = blocks.pop() ?? ''
      for (const block of blocks) yield frameOf(block)
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

function frameOf(block: string): Frame {
  const fields = new Map<string, string>()
  for (const line of block.split(/\r?\n/)) {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
    // The API sends data on one line.
    fields.set(name, value)
  }
  const retry = fields.get('retry')
  return {
    event: fields.get('event') ?? 'message',
    id: fields.get('id') ?? '',
    data: fields.get('data'),
    retryMs: retry === undefined ? undefined : Number(retry),
  }
}
