interface ShownHeader {
  description: string
  schema: { type: 'string' | 'integer'; format?: string; const?: string; minimum?: number }
  example: string | number
}

/** The response headers of the API. All responses share their descriptions. */
export const RESPONSE_HEADERS = {
  Location: {
    description:
      'The job of a command, or what was created. A command that was refused before it entered its line has no job.',
    schema: { type: 'string', format: 'uri-reference' },
    example: '/jobs/event-1001.0mpb3k2x17c4e90ad52b6.1.0',
  },
  'Retry-After': {
    description: 'Seconds to wait before the next attempt or the next poll.',
    schema: { type: 'integer', minimum: 0 },
    example: 1,
  },
  RateLimit: {
    description:
      'The limit that counted this request, the number of requests that are left, and the seconds until the window ends (draft-ietf-httpapi-ratelimit-headers-07).',
    schema: { type: 'string' },
    example: 'limit=100, remaining=99, reset=900',
  },
  'RateLimit-Policy': {
    description: 'The limit that counted this request, and its window in seconds.',
    schema: { type: 'string' },
    example: '100;w=900',
  },
  'X-Request-Id': {
    description: 'The id of the request in the logs: the one that the request sent, or a new one.',
    schema: { type: 'string' },
    example: '5f1d9c1e-0b7a-4c55-9a1e-3a8f7b2f5d6f',
  },
  'WWW-Authenticate': {
    description: 'How to authenticate (RFC 6750).',
    schema: { type: 'string' },
    example: 'Bearer',
  },
  ETag: {
    description: 'Identifies the state that this response shows.',
    schema: { type: 'string' },
    example: '"3.kA1fW0m9Xo2sVb7uQ4cT1g"',
  },
  Link: {
    description:
      'The next page of the list, or the call that continues a stream, as `<…>; rel="next"`. Absent on the last page.',
    schema: { type: 'string' },
    example: '</events?after=ZXZlbnRzOjEwMDE>; rel="next"',
  },
  'Preference-Applied': {
    description: 'The preferences that were applied (RFC 7240).',
    schema: { type: 'string' },
    example: 'wait=5, return=representation',
  },
  'Idempotency-Replayed': {
    description: 'Sent if this repeats the response to an earlier request with the same key.',
    schema: { type: 'string', const: 'true' },
    example: 'true',
  },
  'Cache-Control': {
    description: 'How long the response may be cached.',
    schema: { type: 'string' },
    example: 'public, max-age=300',
  },
  'Set-Cookie': {
    description: 'Sets or clears the refresh token: `HttpOnly`, `SameSite=Strict`, `Path=/token`.',
    schema: { type: 'string' },
    example: 'refresh_token=…; Path=/token; HttpOnly; SameSite=Strict',
  },
} as const satisfies Record<string, ShownHeader>

export type ResponseHeader = keyof typeof RESPONSE_HEADERS
