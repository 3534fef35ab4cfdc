import createApi from 'openapi-fetch'
import type {
  AnyDecision,
  BookDecision,
  CancelDecision,
  CancelEventDecision,
  ConfirmDecision,
  ExtendDecision,
  GrantDecision,
} from './decisions.js'
import { errorOf, TicketLineError } from './errors.js'
import type { components, paths } from './generated/openapi.js'
import type { ChangesPage, ChangeType, Job, Problem, TicketedEvent } from './schemas.js'
import { type Connection, followStream, type StandingUpdate, type StatusUpdate } from './streams.js'
import { Call, createTransport, type Fetch, pause, type TokenSource } from './transport.js'

export interface TicketLineOptions {
  /** For example `https://tickets.example.com`. */
  baseUrl: string
  /** Needed for everything but the calls that anyone may make. */
  token?: TokenSource
  /** Default: the global `fetch`. */
  fetch?: Fetch
  /**
   * How long a request is repeated while the API cannot be reached, is busy or limits the rate, ms.
   * 0 sends each request once. Default: one minute.
   */
  giveUpAfterMs?: number
}

/** Options of calls that can be stopped. */
export interface CallOptions {
  /** Stops the call. A command that was already sent may still be decided. */
  signal?: AbortSignal
}

/** Options of calls that change something. */
export interface SendOptions extends CallOptions {
  /**
   * 1 to 128 printable ASCII characters. A command that is sent again with its key has one effect,
   * and gets the first decision again. Default: a random one. Choose it yourself, for example from
   * an order number, if your process may stop before it gets the decision.
   */
  idempotencyKey?: string
}

/** Options of calls that are decided in the line of an event. */
export interface CommandOptions extends SendOptions {
  /**
   * Called if the API accepts the command before it is decided. `decisionOf` can wait for the job
   * later.
   */
  onAccepted?: (jobId: string) => void
  /**
   * Called every few seconds until the decision, for example to show `ahead` and `etaSeconds`. With
   * this option, the API answers at once and the client polls.
   */
  onProgress?: (job: Job) => void
}

/** Options of calls that follow a stream. */
export interface WatchOptions extends CallOptions {
  /**
   * Called when the stream is being connected, with its first update, and when it was lost, for
   * example to show that what the page says may be old. The stream connects again by itself.
   */
  onConnection?: (connection: Connection) => void
}

/** Where to begin in the change log of an event. */
export interface ChangesOptions extends CallOptions {
  /** The `next` of the last page that was processed. Default: 0, the beginning. */
  after?: number
  /** The `epoch` of that page. */
  epoch?: string
  /** Default: all. */
  types?: readonly ChangeType[]
}

type Schemas = components['schemas']
type Media = 'application/json' | 'application/problem+json'

/** What `openapi-fetch` returns. */
interface Answer<Data> {
  data?: Data
  error?: unknown
  response: Response
}

const GIVE_UP_AFTER_MS = 60_000
/** How long one poll waits for a decision, s. The API allows 30. */
const POLL_WAIT_S = 25
/** The same if the caller wants to see the progress, s. */
const PROGRESS_WAIT_S = 5
/** Minimum time between two polls, ms. An API process that stops ends its long polls early. */
const POLL_INTERVAL_MS = 1000
/** Longest that the API waits for a change, s. */
const CHANGES_WAIT_S = 30
const CHANGES_PER_PAGE = 1000

export type TicketLine = ReturnType<typeof createTicketLine>

/** Creates a client of a Ticket Line installation. It opens no connection by itself. */
export function createTicketLine(options: TicketLineOptions) {
  const { baseUrl, token, giveUpAfterMs = GIVE_UP_AFTER_MS } = options
  const fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init))
  const send = createTransport({ token, fetch, giveUpAfterMs })
  const api = createApi<paths, Media>({
    baseUrl,
    // `openapi-fetch` creates a `Call` instead of a Request, and passes it to `send`.
    Request: Call as unknown as typeof Request,
    fetch: send as unknown as (call: Request) => Promise<Response>,
    // The API separates the values of a list by commas.
    querySerializer: { array: { style: 'form', explode: false } },
  })

  /** Sends a command and waits for its decision. */
  async function command<D>(
    send: (init: {
      headers: Record<string, string>
      signal: AbortSignal | null
    }) => Promise<Answer<unknown>>,
    options: CommandOptions = {},
  ): Promise<D> {
    const prefer = ['return=representation']
    if (options.onProgress !== undefined) prefer.push('respond-async')
    const headers = { ...keyOf(options), Prefer: prefer.join(', ') }
    const answer = await send({ headers, signal: options.signal ?? null })
    const decided = await dataOf(answer)
    if (answer.response.status !== 202) return decided as D
    const { jobId } = decided as Schemas['Accepted']
    options.onAccepted?.(jobId)
    return decisionOf(jobId, options) as Promise<D>
  }

  /**
   * Waits for the decision of a command that was accepted earlier, even if another process sent it.
   *
   * @throws TicketLineError if the command was refused, or if there is no such job
   */
  async function decisionOf(
    jobId: string,
    { signal, onProgress }: Pick<CommandOptions, 'signal' | 'onProgress'> = {},
  ): Promise<AnyDecision> {
    const waitS = onProgress === undefined ? POLL_WAIT_S : PROGRESS_WAIT_S
    for (;;) {
      const nextMs = Date.now() + POLL_INTERVAL_MS
      const job = await dataOf(
        api.GET('/jobs/{jobId}', {
          params: { path: { jobId } },
          headers: { Prefer: `wait=${waitS}, return=representation` },
          signal: signal ?? null,
        }),
      )
      if (job.status !== null && job.status >= 400)
        throw new TicketLineError(job.body as Problem, { jobId })
      if (job.state === 'done') return job.body as AnyDecision
      onProgress?.(job)
      await pause(Math.max(0, nextMs - Date.now()), signal)
    }
  }

  /** Opens a stream. `openapi-fetch` types bodies of events as text. */
  async function open(
    path: '/events/{eventId}/stream' | '/events/{eventId}/me/stream',
    eventId: number,
    signal: AbortSignal | undefined,
  ): Promise<ReadableStream<Uint8Array>> {
    const init = { params: pathOf(eventId), parseAs: 'stream', signal: signal ?? null } as const
    return (await dataOf(api.GET(path, init))) as unknown as ReadableStream<Uint8Array>
  }

  return {
    /**
     * All calls of the API, typed by its OpenAPI document: `api.GET('/status/{eventId}', …)`. They
     * carry the token and are repeated like all others. See `dataOf` for their answers.
     */
    api,

    /**
     * Books a ticket for the caller, or for the given user if the caller is staff or an API key. If
     * none is free, the user joins the waiting list.
     *
     * @throws TicketLineError if the API refuses, for example with `already_booked`
     * @throws NoAnswerError if the API could not be reached
     */
    book: (body: Schemas['BookingRequest'], options?: CommandOptions) =>
      command<BookDecision>((init) => api.POST('/book', { body, ...init }), options),

    /** Cancels a booking, releases a hold, or leaves the waiting list. Throws like `book`. */
    cancel: (body: Schemas['CancelRequest'], options?: CommandOptions) =>
      command<CancelDecision>((init) => api.POST('/cancel', { body, ...init }), options),

    /** Turns a hold into a booking. Throws like `book`, for example with `hold_expired`. */
    confirm: (body: Schemas['ConfirmRequest'], options?: CommandOptions) =>
      command<ConfirmDecision>((init) => api.POST('/confirm', { body, ...init }), options),

    /** Moves the deadline of a hold. Throws like `book`, for example with `hold_limit_reached`. */
    extend: (body: Schemas['ExtendRequest'], options?: CommandOptions) =>
      command<ExtendDecision>((init) => api.POST('/extend', { body, ...init }), options),

    /** Gives a ticket to a user, ahead of the waiting list. Throws like `book`. */
    grant: (eventId: number, body: Schemas['GrantRequest'], options?: CommandOptions) =>
      command<GrantDecision>(
        (init) => api.POST('/events/{eventId}/grants', { params: pathOf(eventId), body, ...init }),
        options,
      ),

    /**
     * Creates an event. It is created once, even if the request has to be repeated.
     *
     * @throws TicketLineError, for example with `event_exists`
     */
    createEvent: (body: Schemas['NewEvent'], options: SendOptions = {}): Promise<TicketedEvent> =>
      dataOf(
        api.POST('/events', { body, headers: keyOf(options), signal: options.signal ?? null }),
      ),

    /**
     * Changes settings of an event.
     *
     * @param options `ifMatch` is the ETag of the version that the change is for; if the settings
     * have changed since, the call throws `version_mismatch`
     * @returns the event as it was decided
     */
    configure: (
      eventId: number,
      body: Schemas['EventPatch'],
      { ifMatch, ...options }: CommandOptions & { ifMatch?: string } = {},
    ) =>
      command<TicketedEvent>(
        ({ headers, signal }) =>
          api.PATCH('/events/{eventId}', {
            params: pathOf(eventId),
            body,
            headers: { ...headers, ...(ifMatch !== undefined && { 'If-Match': ifMatch }) },
            signal,
          }),
        options,
      ),

    /** Ends an event and all its bookings. Throws like `book`. */
    cancelEvent: (
      eventId: number,
      body: Schemas['CancelEventRequest'] = {},
      options?: CommandOptions,
    ) =>
      command<CancelEventDecision>(
        (init) => api.POST('/events/{eventId}/cancel', { params: pathOf(eventId), body, ...init }),
        options,
      ),

    decisionOf,

    /**
     * Follows the state of an event: at once, and after each change. It connects again if the
     * connection breaks, and ends when the signal is aborted.
     *
     * @throws TicketLineError if the API refuses the stream, for example with `event_not_found`
     */
    watchEvent: (eventId: number, options: WatchOptions = {}) =>
      followStream(
        () => open('/events/{eventId}/stream', eventId, options.signal),
        options,
      ) as AsyncGenerator<StatusUpdate, void, undefined>,

    /** Like `watchEvent`, and follows what the caller has for the event: their hold or position. */
    watchMine: (
      eventId: number,
      options: WatchOptions = {},
    ): AsyncGenerator<StatusUpdate | StandingUpdate, void, undefined> =>
      followStream(() => open('/events/{eventId}/me/stream', eventId, options.signal), options),

    /**
     * Follows the change log of an event: all changes after the given one, and then new ones as
     * they are decided. After each page, store its `next` and `epoch` to continue there another
     * time.
     *
     * @throws TicketLineError, with `changes_pruned` or `epoch_changed` if it cannot continue there
     */
    async *changes(
      eventId: number,
      { after = 0, epoch, types, signal }: ChangesOptions = {},
    ): AsyncGenerator<ChangesPage, void, undefined> {
      const fixed = { limit: CHANGES_PER_PAGE, ...(types && { type: [...types] }) }
      const position = { after, ...(epoch !== undefined && { epoch }) }
      for (;;) {
        const nextMs = Date.now() + POLL_INTERVAL_MS
        const page = await dataOf(
          api.GET('/events/{eventId}/changes', {
            params: {
              ...pathOf(eventId),
              query: { ...fixed, ...position },
            },
            headers: { Prefer: `wait=${CHANGES_WAIT_S}` },
            signal: signal ?? null,
          }),
        )
        const isNew = page.next > position.after
        Object.assign(position, { after: page.next, epoch: page.epoch })
        if (isNew) yield page
        else await pause(Math.max(0, nextMs - Date.now()), signal)
      }
    },
  }
}

/**
 * The data of a call of `api`.
 *
 * @example const event = await dataOf(tickets.api.GET('/status/{eventId}', { params }))
 * @throws TicketLineError if the answer is no success
 */
export async function dataOf<Data>(
  call: Answer<Data> | Promise<Answer<Data>>,
): Promise<Exclude<Data, undefined>> {
  const { data, error, response } = await call
  if (!response.ok) throw errorOf(response, error)
  return data as Exclude<Data, undefined>
}

/**
 * Reads a list page by page.
 *
 * @param read reads the page at a position
 */
export async function* pagesOf<Page extends { next: string | null }>(
  read: (position: { after?: string }) => Promise<Page>,
): AsyncGenerator<Page, void, undefined> {
  for (let after: string | null | undefined; after !== null; ) {
    const page = await read(after === undefined ? {} : { after })
    yield page
    after = page.next
  }
}

const pathOf = (eventId: number) => ({ path: { eventId } })

function keyOf({ idempotencyKey = randomKey() }: SendOptions): { 'Idempotency-Key': string } {
  return { 'Idempotency-Key': idempotencyKey }
}

/** `crypto.randomUUID` does not exist on pages that were loaded over plain HTTP. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
