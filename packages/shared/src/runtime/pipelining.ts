import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** llhttp's code for a pause: a head callback that returns it stops the parser after that head. */
const HPE_PAUSED = 21
/** `parser[ON_EXECUTE]` is the callback that Node runs after the parser has parsed a chunk. */
const ON_EXECUTE = 5

/** Node calls it with each parsed head. The result tells llhttp how to continue. */
type OnIncoming = (request: IncomingMessage, keepAlive: boolean) => number
type Parsed = number | (Error & { code?: string; bytesParsed?: number })

/**
 * The part of Node's parser that this file uses. Node has no public way to stop parsing in the
 * middle of a chunk. `pipelining.test.ts` fails if a new Node changes these members.
 */
interface Parser {
  onIncoming: OnIncoming
  [ON_EXECUTE]: (parsed: Parsed) => void
  execute(data: Buffer): Parsed
  resume: () => void
  getCurrentBuffer(): Buffer
}

interface WatchedSocket extends Socket {
  parser?: Parser | null
  /** While it is true, Node does not start to read when the socket is resumed. */
  _paused?: boolean
  /** The response that Node is sending. */
  _httpMessage?: { _headerSent: boolean; req: IncomingMessage } | null
  [CONNECTION]?: Connection
}

const CONNECTION = Symbol('connection')

export interface PipeliningOptions {
  /**
   * Maximum number of unanswered requests of one connection. A request counts until its response
   * has left this process.
   */
  perConnection: number
  /**
   * If all connections together have at least this many unanswered requests, each connection has
   * one request at a time.
   */
  crowdedAt: number
  /**
   * Maximum size of the unparsed requests of all connections together, in bytes. A connection that
   * exceeds it is destroyed.
   */
  maxHeldBytes: number
  /** Maximum time to receive a request whose parsing was postponed, ms. */
  requestTimeoutMs: number
  /** A connection whose client reads nothing of a response for this long is destroyed, ms. */
  stallTimeoutMs: number
  /** Called when a request cannot be read. It returns headers of the response. */
  refusalHeaders?: ((origin: string | undefined) => Readonly<Record<string, string>>) | undefined
}

export interface Pipelining {
  /**
   * An option of `http.createServer`. It counts all responses, including those that Node itself
   * sends.
   */
  ServerResponse: typeof ServerResponse
  /** Watches the connections of a server that was created with that option. */
  watch(server: Server): void
  /** How many requests have a response that has not left this process. */
  unanswered(): number
}

/**
 * Limits the requests that are in progress on one connection.
 *
 * Node parses everything that it reads, up to 64 KiB at once, and starts a request for each head in
 * it. So a few packets can start thousands of pipelined requests. This part *holds* a connection
 * that has enough unanswered requests: the parser stops after the next head, the connection keeps
 * the remaining bytes of the chunk, and nothing more is read from the socket. When a response has
 * left, parsing continues with the next byte.
 */
export function createPipelining(options: PipeliningOptions): Pipelining {
  const all: Totals = { unanswered: 0, heldBytes: 0, continueLater: createContinueLater() }

  class CountedResponse extends ServerResponse {
    constructor(...args: ConstructorParameters<typeof ServerResponse>) {
      super(...args)
      const connection = (this.req.socket as WatchedSocket)[CONNECTION]
      if (connection === undefined) return
      connection.started()
      this.on('close', connection.answered)
    }
  }

  return {
    ServerResponse: CountedResponse as typeof ServerResponse,
    watch: (server) => {
      // Node's own listener was added first, so the socket has its parser.
      server.on('connection', (socket: WatchedSocket) => {
        if (socket.parser) socket[CONNECTION] = new Connection(socket, socket.parser, all, options)
      })
      server.timeout = options.stallTimeoutMs
      // Node emits this event for its own timeout of idle connections, too.
      server.on('timeout', (socket: WatchedSocket) => {
        if (socket.writableLength > 0 || socket[CONNECTION]?.isIdle() !== false) socket.destroy()
      })
      server.on('clientError', (error: ClientError, socket) => {
        const watched = socket as WatchedSocket
        // Node counts the wait for earlier responses as time that the request takes to arrive.
        if (error.code === REQUEST_TIMEOUT && watched[CONNECTION]?.timesItsRequest()) return
        refuse(watched, error, options)
      })
    },
    unanswered: () => all.unanswered,
  }
}

/**
 * Marks a response as one that stays open, such as a stream of events. It no longer counts as
 * unanswered, so it does not slow down other connections. No further request is read from its own.
 */
export function markLasting(response: ServerResponse): void {
  ;(response.req.socket as WatchedSocket)[CONNECTION]?.lasts(response)
}

const REQUEST_TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT'

const STATUS_OF_ERROR: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  [REQUEST_TIMEOUT]: '408 Request Timeout',
}

interface ClientError extends Error {
  code?: string
  /** The last packet that the parser got, if the parser failed. */
  rawPacket?: Buffer
}

/** Answers an unreadable request as Node does without a listener for `clientError`. */
function refuse(
  socket: WatchedSocket,
  error: ClientError,
  { refusalHeaders }: PipeliningOptions,
): void {
  // If a response has begun, the client would read this as a part of that response.
  if (socket.writable && !socket._httpMessage?._headerSent) {
    const status = STATUS_OF_ERROR[error.code ?? ''] ?? '400 Bad Request'
    const headers = Object.entries(refusalHeaders?.(originOf(socket, error)) ?? {})
    const lines = [...headers, ['Connection', 'close']].map(([name, value]) => `${name}: ${value}`)
    socket.write(`HTTP/1.1 ${status}\r\n${lines.join('\r\n')}\r\n\r\n`)
  }
  socket.destroySoon()
}

/** The `Origin` of the request, if its head was parsed or is in the last packet. */
function originOf({ _httpMessage }: WatchedSocket, { rawPacket }: ClientError): string | undefined {
  if (_httpMessage) return _httpMessage.req.headers.origin
  return /\r\norigin:[ \t]*([^\r\n]*)/i.exec(rawPacket?.toString('latin1') ?? '')?.[1]
}

interface Totals {
  unanswered: number
  heldBytes: number
  continueLater(connection: Connection): void
}

/** Maximum number of held connections that continue in one turn of the event loop. */
const CONNECTIONS_A_TURN = 16

/**
 * Continues held connections in the order in which they became ready, a few in each turn of the
 * event loop. Otherwise a connection whose requests are answered immediately would get its next
 * requests started before other clients are served.
 */
function createContinueLater(): (connection: Connection) => void {
  const ready = new Set<Connection>()
  function run(): void {
    for (const connection of firstOf(ready, CONNECTIONS_A_TURN)) {
      ready.delete(connection)
      connection.continueParsing()
    }
    if (ready.size > 0) setImmediate(run)
  }
  return (connection) => {
    if (ready.size === 0) setImmediate(run)
    ready.add(connection)
  }
}

/**
 * - `parsing`: Node parses what it reads.
 * - `held`: `request` was parsed but not started, the bytes in `rest` follow it, and nothing is
 *   read.
 * - `closed`: the socket is gone, and its parser may serve another socket.
 */
type State = { kind: 'parsing' } | Held | { kind: 'closed' }

interface Held {
  kind: 'held'
  request: IncomingMessage
  keepAlive: boolean
  rest: Buffer
}

class Connection {
  #state: State = { kind: 'parsing' }
  #unanswered = 0
  /**
   * True once a response lasts. It is in `#unanswered` here, but not in that of all connections.
   */
  #isLasting = false
  /** The request at which the parser stopped; set until the parser has returned. */
  #postponed: { request: IncomingMessage; keepAlive: boolean } | undefined
  /** Destroys the connection if the body of a postponed request does not arrive. */
  #late: NodeJS.Timeout | undefined
  readonly #resumeSocket: () => WatchedSocket
  readonly #resumeParser: () => void
  readonly #start: OnIncoming
  readonly #afterParsing: (parsed: Parsed) => void

  constructor(
    private readonly socket: WatchedSocket,
    private readonly parser: Parser,
    private readonly all: Totals,
    private readonly options: PipeliningOptions,
  ) {
    this.#resumeSocket = socket.resume
    this.#resumeParser = parser.resume
    this.#start = parser.onIncoming
    this.#afterParsing = parser[ON_EXECUTE]
    parser.onIncoming = (request, keepAlive) => {
      if (this.#hasRoom()) return this.#start(request, keepAlive)
      this.#postponed = { request, keepAlive }
      return HPE_PAUSED
    }
    parser[ON_EXECUTE] = (parsed) => {
      // A copy, because the rest would keep its whole buffer in memory, which may be much larger.
      if (this.#postponed !== undefined)
        this.#hold(Buffer.from(parser.getCurrentBuffer().subarray(bytesOf(parsed))))
      else if (this.#state.kind === 'held') this.#holdMore(this.#state, parser.getCurrentBuffer())
      else this.#afterParsing(parsed)
    }
    socket.once('close', () => this.#close())
  }

  /** Called when a request has started. */
  started(): void {
    if (this.#state.kind === 'closed') return
    this.#unanswered++
    this.all.unanswered++
  }

  /** Called when a response has left, or can no longer leave. */
  readonly answered = (): void => {
    if (this.#state.kind === 'closed') return
    this.#unanswered--
    this.all.unanswered--
    if (this.#state.kind === 'held' && this.#hasRoom()) this.all.continueLater(this)
  }

  /** Called when a response, which has started, turns out to last. */
  lasts(response: ServerResponse): void {
    if (this.#state.kind === 'closed' || this.#isLasting) return
    this.#isLasting = true
    this.all.unanswered--
    response.off('close', this.answered)
    response.on('close', () => {
      if (this.#state.kind === 'closed') return
      this.#isLasting = false
      this.all.unanswered++
      this.answered()
    })
  }

  /** Called in a later turn of the event loop, after a response has made room. */
  continueParsing(): void {
    if (this.#state.kind === 'held' && this.#hasRoom() && !this.socket.destroyed)
      this.#parseRest(this.#state)
  }

  #hasRoom(): boolean {
    if (this.#isLasting) return false
    const { perConnection, crowdedAt } = this.options
    return this.#unanswered < (this.all.unanswered < crowdedAt ? perConnection : 1)
  }

  /** parsing → held */
  #hold(rest: Buffer): void {
    const postponed = this.#postponed
    if (postponed === undefined || this.#state.kind !== 'parsing') return
    this.#postponed = undefined
    this.#state = { kind: 'held', ...postponed, rest }
    this.all.heldBytes += rest.length
    this.socket.pause()
    // Node calls `resume` when responses have left or a body is read. It would then parse new bytes
    // although `rest` comes first, so `resume` does nothing while the connection is held.
    this.socket._paused = true
    this.socket.resume = () => this.socket
    this.parser.resume = () => undefined
    this.#boundHeldBytes()
  }

  /**
   * Called if more bytes arrive after reading has stopped. The paused parser has not parsed them.
   */
  #holdMore(state: Held, more: Buffer): void {
    state.rest = Buffer.concat([state.rest, more])
    this.all.heldBytes += more.length
    this.#boundHeldBytes()
  }

  #boundHeldBytes(): void {
    if (this.all.heldBytes > this.options.maxHeldBytes) this.socket.destroy()
  }

  /** held → parsing, or held again at the next head */
  #parseRest({ request, keepAlive, rest }: Held): void {
    this.#release(rest)
    this.#state = { kind: 'parsing' }
    // Other results mean CONNECT or a protocol upgrade, which this product does not support.
    if (this.#start(request, keepAlive) !== 0) {
      this.socket.destroy()
      return
    }
    this.parser.resume()
    const parsed = this.parser.execute(rest.length > 0 ? rest : NOTHING)
    if (this.#postponed !== undefined) {
      this.#hold(rest.subarray(bytesOf(parsed)))
      return
    }
    this.#afterParsing(parsed)
    if (!request.complete) this.#destroyIfLate(request)
    this.socket.resume()
  }

  #destroyIfLate(request: IncomingMessage): void {
    const timer = setTimeout(() => this.socket.destroy(), this.options.requestTimeoutMs).unref()
    this.#late = timer
    request.once('close', () => {
      clearTimeout(timer)
      if (this.#late === timer) this.#late = undefined
    })
  }

  isIdle(): boolean {
    return this.#unanswered === 0
  }

  /**
   * True if the current request is or was postponed. Node's timeout must not apply to it, because
   * that would count the time in which it was postponed.
   */
  timesItsRequest(): boolean {
    return this.#state.kind === 'held' || this.#late !== undefined
  }

  #release(rest: Buffer): void {
    this.all.heldBytes -= rest.length
    this.socket._paused = false
    this.socket.resume = this.#resumeSocket
    this.parser.resume = this.#resumeParser
  }

  /** any → closed */
  #close(): void {
    if (this.#state.kind === 'held') this.#release(this.#state.rest)
    this.all.unanswered -= this.#unanswered - (this.#isLasting ? 1 : 0)
    this.#state = { kind: 'closed' }
  }
}

/** An empty buffer that has an address. The parser reads a null pointer as the end of the data. */
const NOTHING = Buffer.from(' ').subarray(1)

function bytesOf(parsed: Parsed): number {
  return typeof parsed === 'number' ? parsed : (parsed.bytesParsed ?? 0)
}

function firstOf<T>(values: Iterable<T>, count: number): T[] {
  const first: T[] = []
  for (const value of values) if (first.push(value) === count) break
  return first
}
