import { lookup, Resolver } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { VERSION } from '@ticket-line/shared'
import { type AddressRules, checkUrl, hostOf, isAllowed, isPublicAddress } from './addresses.js'

/** How long a request may take, from resolving the name to the end of the answer, ms. */
export const SEND_TIMEOUT_MS = 15_000
/** How many bytes of an answer the sender reads before it closes the connection. */
export const MAX_ANSWER_BYTES = 64 * 1024

/** How long a DNS server may take to answer a query, ms. */
const DNS_TIMEOUT_MS = 3000
/** How many times a query is sent. */
const DNS_TRIES = 2

/** Why a request got no answer. */
export type SendError =
  /** The URL, or an address of its host, is not allowed. */
  | 'address_not_allowed'
  /** The host has no address, or no DNS server answered. */
  | 'name_not_resolved'
  /** Nobody listens at the address, or there is no route to it. */
  | 'connection_failed'
  /** The certificate is not valid for the host, or there was another fault of TLS. */
  | 'tls_failed'
  /** The connection ended before the head of the answer, or the answer was not HTTP. */
  | 'connection_lost'
  | 'timeout'
  /** Node refuses the request, because of a header for example. */
  | 'not_sendable'
  /** The caller aborted the request. */
  | 'aborted'

/** An answer, whatever its status. */
export interface SendAnswer {
  kind: 'answered'
  status: number
  /**
   * How long the receiver asked the sender to wait (`Retry-After`), ms; undefined if it did not.
   */
  retryAfterMs: number | undefined
  /** How many bytes of the body were read. */
  bytes: number
  tookMs: number
}

/** What became of a request. */
export type SendResult = SendAnswer | { kind: 'failed'; error: SendError; tookMs: number }

export interface SendRequest {
  url: string
  /** Headers besides those that describe the body. */
  headers: Readonly<Record<string, string>>
  /** JSON text. */
  body: string
  /** Aborts the request. */
  signal?: AbortSignal | undefined
}

/** Finds the addresses of a host. If it has none, the promise rejects or the list is empty. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<string[]>

export interface SenderOptions {
  rules: AddressRules
  /** Default {@link SEND_TIMEOUT_MS}. */
  timeoutMs?: number
  /** Resolves the names of hosts; by default {@link resolveByDns}. */
  resolve?: Resolve
  /** Certificates (PEM) that are trusted instead of the usual ones. */
  ca?: string
}

export interface Sender {
  /** Sends a POST. It never rejects. */
  send(request: SendRequest): Promise<SendResult>
}

/**
 * Creates a sender for URLs that other people chose. It connects only to public addresses, and to
 * hosts that the operator allows.
 *
 * It resolves the name of the host once for each request. If one of the addresses is not public, it
 * sends nothing. It connects to one of the addresses that it has checked, so it does not matter if
 * the DNS server gives another answer a moment later. It follows no redirects and uses no proxy
 * from the environment, and each request has a connection of its own.
 */
export function createSender(options: SenderOptions): Sender {
  const { rules, timeoutMs = SEND_TIMEOUT_MS, resolve = resolveByDns(), ca } = options
  // The agents of Node may use a proxy from the environment. These do not.
  const plain = new http.Agent({ keepAlive: false })
  const secure = new https.Agent({ keepAlive: false, ...(ca !== undefined && { ca }) })

  async function addressesOf(url: URL, signal: AbortSignal): Promise<string[]> {
    const host = hostOf(url)
    if (isIP(host) !== 0) return [host]
    const isAllowedName = isAllowed(host, url, rules)
    const resolving = isAllowedName ? askOperatingSystem(host) : resolve(host, signal)
    const addresses = await orAborted(
      resolving.catch(() => []),
      signal,
    )
    if (addresses.length === 0) throw new SendFailure('name_not_resolved')
    const mayReach = (address: string): boolean =>
      isPublicAddress(address) || isAllowed(address, url, rules)
    if (!isAllowedName && !addresses.every(mayReach)) throw new SendFailure('address_not_allowed')
    return addresses
  }

  async function post(
    { url: text, headers, body }: SendRequest,
    signal: AbortSignal,
  ): Promise<Omit<SendAnswer, 'kind' | 'tookMs'>> {
    const url = checkUrl(text, rules)
    if (typeof url === 'string') throw new SendFailure('address_not_allowed')
    const addresses = await addressesOf(url, signal)
    const host = hostOf(url)
    const isName = isIP(host) === 0
    const isSecure = url.protocol === 'https:'
    const bytes = Buffer.from(body)
    const request = (isSecure ? https : http).request({
      method: 'POST',
      host,
      port: url.port,
      path: `${url.pathname}${url.search}`,
      headers: {
        ...headers,
        host: `${isIP(host) === 6 ? `[${host}]` : host}${url.port && `:${url.port}`}`,
        'content-type': 'application/json',
        'content-length': bytes.length,
        'user-agent': `ticket-line/${VERSION}`,
      },
      agent: isSecure ? secure : plain,
      // The name that TLS sends, and expects in the certificate. It must not be an address (RFC
      // 6066, section 3).
      ...(isSecure && { servername: isName ? host : '' }),
      // Not called if the host is an address.
      lookup: lookupAmong(addresses),
      signal,
    })
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(toFailure(error, isSecure))
      request.on('error', fail)
      request.on('upgrade', (_answer, socket) => {
        socket.destroy()
        reject(new SendFailure('connection_lost'))
      })
      request.on('response', (answer) => {
        // From now on, an error only ends the body.
        request.off('error', fail).on('error', () => undefined)
        const retryAfterMs = readRetryAfter(answer.headers['retry-after'], Date.now())
        discard(answer, (bytes) => resolve({ status: answer.statusCode ?? 0, retryAfterMs, bytes }))
      })
      request.end(bytes)
    })
  }

  return {
    async send(request) {
      const startedAtMs = performance.now()
      const timeout = AbortSignal.timeout(timeoutMs)
      const signal =
        request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal])
      const tookMs = (): number => Math.round(performance.now() - startedAtMs)
      try {
        const answer = await post(request, signal)
        return { kind: 'answered', ...answer, tookMs: tookMs() }
      } catch (error) {
        if (timeout.aborted) return { kind: 'failed', error: 'timeout', tookMs: tookMs() }
        if (signal.aborted) return { kind: 'failed', error: 'aborted', tookMs: tookMs() }
        const reason = error instanceof SendFailure ? error.reason : 'not_sendable'
        return { kind: 'failed', error: reason, tookMs: tookMs() }
      }
    },
  }
}

class SendFailure extends Error {
  readonly reason: SendError

  constructor(reason: SendError) {
    super(reason)
    this.reason = reason
  }
}

/**
 * Waits for work that cannot be aborted, at most until the signal is aborted.
 *
 * @throws the reason of the signal
 */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/**
 * Asks DNS servers for the IPv4 and the IPv6 addresses of a host. The lookup of the operating
 * system would occupy a thread of Node's pool while a server is slow, and cannot be canceled.
 *
 * @param servers addresses with ports; by default the servers that the machine is configured with
 */
export function resolveByDns(servers?: readonly string[]): Resolve {
  return async (host, signal) => {
    const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES })
    if (servers !== undefined) resolver.setServers(servers)
    const cancel = (): void => resolver.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
      return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }
}

/**
 * Asks the operating system for the addresses of a host. It also knows names from `/etc/hosts`,
 * which hosts in the network of an installation may have.
 */
async function askOperatingSystem(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => address)
}

/** Creates a `lookup` for Node that returns these addresses, whatever the host. */
function lookupAmong(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }))
  return (_host, { all }, callback) => {
    const [first] = found
    // Node's own `lookup` calls back in a later turn, too.
    process.nextTick(() => {
      if (all) callback(null, found)
      else callback(null, first?.address ?? '', first?.family)
    })
  }
}

/** Codes of errors that happen before there is a connection. */
const NOT_CONNECTED =
  /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT|EADDRNOTAVAIL|EACCES|EPERM|EINVAL)$/
/** Codes of errors of a connection, and (`HPE_`) of Node's HTTP parser. */
const LOST = /^(?:ECONNRESET|ECONNABORTED|EPIPE|HPE_)/

function toFailure(error: NodeJS.ErrnoException, isSecure: boolean): SendFailure {
  const { code = '' } = error
  if (NOT_CONNECTED.test(code)) return new SendFailure('connection_failed')
  // All other codes are of TLS. OpenSSL has one for each fault of a certificate.
  return new SendFailure(isSecure && !LOST.test(code) ? 'tls_failed' : 'connection_lost')
}

/**
 * Reads the body of an answer without keeping it, because only the status counts.
 *
 * @param onEnd Called once with the number of bytes that were read, when the body ends, is too
 * long, takes too long, or is cut off.
 */
function discard(answer: IncomingMessage, onEnd: (bytes: number) => void): void {
  let bytes = 0
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes >= MAX_ANSWER_BYTES) answer.destroy()
  })
  // `close` follows.
  answer.on('error', () => undefined)
  answer.on('close', () => onEnd(Math.min(bytes, MAX_ANSWER_BYTES)))
}

/** Reads seconds or a date (RFC 9110, section 10.2.3). */
function readRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  // `Date.parse` reads many other texts as dates.
  const ms = value.endsWith('GMT') ? Date.parse(value) - nowMs : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
