import { Client } from 'undici'

/** Time between two loads of the same page, ms. */
const PAGE_STAYS_MS = 60_000

/** The service said 503. A page waits and repeats the call. */
export class UnavailableError extends Error {}

/** An account that the benchmark made. Its number gives its first refresh token. */
export const visitorName = (visitor: number): string => `visitor-${visitor}`

export function familyIdOf(visitor: number): string {
  return `00000000-0000-4000-8000-${visitor.toString(16).padStart(12, '0')}`
}

export function firstRefreshToken(visitor: number): string {
  return `${familyIdOf(visitor)}.${String(visitor).padStart(43, '0')}`
}

/** Every second visitor is signed in. */
export const isSignedIn = (visitor: number): boolean => visitor % 2 === 1

/** The browsers of people who have the page of an event open. */
export interface Visitors {
  /**
   * Makes the calls of a page that is opened: its document, its files if they are not in the cache,
   * a token for visitors who are signed in, and the event.
   *
   * @returns the token for the stream of the page, if the visitor is signed in
   */
  load(visitor: number): Promise<string | undefined>
  /** Presses "Book", and waits for the decision as the page does. */
  book(visitor: number, token: string): Promise<void>
  close(): void
}

interface BrowserState {
  client: Client | undefined
  /** ETag of the document in the cache. */
  etag: string | undefined
  refreshToken: string
}

/** What Chromium sends with each request that matters to the server. */
const BROWSER = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en',
  'sec-fetch-site': 'same-origin',
}

/** @param origin of the API */
export function createVisitors(origin: string, eventId: number, browsers: number): Visitors {
  const states = Array.from(
    { length: browsers },
    (_, visitor): BrowserState => ({
      client: undefined,
      etag: undefined,
      refreshToken: firstRefreshToken(visitor),
    }),
  )

  async function send(
    visitor: number,
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string> = {},
    body?: object,
  ) {
    const { client } = states[visitor] as BrowserState & { client: Client }
    const answer = await client.request({
      method,
      path,
      headers: {
        ...BROWSER,
        'x-forwarded-for': `10.0.${visitor >> 8}.${visitor & 255}`,
        ...headers,
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    if (answer.statusCode >= 400) {
      const message = `${method} ${path} was answered with ${answer.statusCode}: ${bytes}`
      throw answer.statusCode === 503 ? new UnavailableError(message) : new Error(message)
    }
    return { ...answer, bytes }
  }

  return {
    async load(visitor) {
      const state = states[visitor] as BrowserState
      state.client?.destroy()
      state.client = new Client(origin)
      const page = await send(visitor, 'GET', `/e/${eventId}`, {
        accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
        // The first load reads the names of the files in the document, so it asks for plain text.
        ...(state.etag === undefined
          ? { 'accept-encoding': 'identity' }
          : { 'if-none-match': state.etag }),
      })
      // A browser that has the document also has its files, whose names change with their contents.
      if (page.statusCode === 200) {
        const files = page.bytes.toString().matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)
        for (const [, file = ''] of files) await send(visitor, 'GET', file)
        state.etag = String(page.headers['etag'])
      }
      let token: string | undefined
      if (isSignedIn(visitor)) {
        const granted = await send(visitor, 'POST', '/token/refresh', {
          cookie: `refresh_token=${state.refreshToken}`,
        })
        const cookie = String(granted.headers['set-cookie'])
        state.refreshToken = /refresh_token=([^;]+)/.exec(cookie)?.[1] ?? ''
        token = JSON.parse(granted.bytes.toString()).token
      }
      await send(visitor, 'GET', `/events/${eventId}`, bearer(token))
      return token
    },
    async book(visitor, token) {
      const headers = {
        ...bearer(token),
        'idempotency-key': `page-${visitor}-${eventId}`,
        prefer: 'return=representation, respond-async',
      }
      const accepted = await send(visitor, 'POST', '/book', headers, { eventId })
      const { jobId } = JSON.parse(accepted.bytes.toString())
      if (accepted.statusCode === 202)
        await send(visitor, 'GET', `/jobs/${jobId}`, {
          ...bearer(token),
          prefer: 'wait=5, return=representation',
        })
    },
    close() {
      for (const { client } of states) client?.destroy()
    },
  }
}

const bearer = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }

/** Time between two loads of any of these pages, ms. */
export const loadEveryMs = (pages: number): number => PAGE_STAYS_MS / pages
