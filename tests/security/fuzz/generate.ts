import type { Random } from '../../random.ts'
import { unusualHeaders } from './headers.ts'
import { malformedJson, withOddBytes } from './json.ts'
import { unusualPath } from './paths.ts'
import { type FuzzRequest, type Message, write } from './request.ts'
import { FUZZ_ROUTES, type FuzzRoute, fillPath } from './routes.ts'
import type { FuzzTokens } from './tokens.ts'

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'QUERY', 'PROPFIND']
const JSON_TYPE: [string, string] = ['Content-Type', 'application/json']
const bearer = (token: string): [string, string] => ['Authorization', `Bearer ${token}`]

/** Returns a function that makes the next request. The requests depend only on `random`. */
export function createGenerator(random: Random, tokens: FuzzTokens): () => FuzzRequest {
  const forged = (): string => tokens.forged(random)
  const user = (): string => random.pick(tokens.users)
  const anyRoute = (): FuzzRoute => random.pick(FUZZ_ROUTES)

  function message(route: FuzzRoute, token: string | undefined): Message {
    const made: Message = { method: route.method, path: fillPath(route, random), headers: [] }
    if (token !== undefined) made.headers.push(bearer(token))
    if (route.body !== undefined) {
      made.headers.push(JSON_TYPE)
      made.body = JSON.stringify(route.body)
    }
    return made
  }

  /** A request whose token is missing, forged, or of a user without the required role. */
  function withToken(): FuzzRequest {
    const route = random.pick(FUZZ_ROUTES.filter(({ needs }) => needs !== 'nothing'))
    const lacksRole = (route.needs === 'staff' || route.needs === 'admin') && random.chance(0.3)
    const token = lacksRole ? user() : random.chance(0.05) ? undefined : forged()
    const made = message(route, token)
    return { ...whole('token', made), mustFail: !namesRoot(made.path) }
  }

  function withJson(): FuzzRequest {
    const route = random.pick(FUZZ_ROUTES.filter(({ body }) => body !== undefined))
    const made = message(route, route.needs === 'staff' ? tokens.organizer : user())
    made.body = malformedJson(route.body ?? {}, random)
    if (random.chance(0.1)) inChunks(made)
    return whole('json', made)
  }

  function inChunks(made: Message): void {
    const bytes = Buffer.from(made.body ?? '')
    const size = Math.max(1, Math.ceil(bytes.length / random.between(1, 5)))
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size)
      parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
    }
    made.body = Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
    made.headers.push(['Transfer-Encoding', 'chunked'])
  }

  /** Staff see more of what only staff may call. Few of them change anything. */
  function tokenFor({ method, needs }: FuzzRoute): string {
    return needs === 'staff' && method === 'GET' && random.chance(0.7) ? tokens.organizer : user()
  }

  function withHeaders(): FuzzRequest {
    const route = anyRoute()
    const made = message(route, random.chance(0.7) ? tokenFor(route) : undefined)
    const strange = unusualHeaders(random)
    made.headers = random.chance(0.5)
      ? [...strange, ...made.headers]
      : [...made.headers, ...strange]
    return whole('headers', made)
  }

  function withPath(): FuzzRequest {
    const toAdmin = random.chance(0.5)
    const method = random.chance(0.7) ? 'GET' : random.pick(METHODS)
    const path = unusualPath(
      toAdmin ? '/admin/queues/api/queues' : fillPath(anyRoute(), random),
      random,
    )
    const headers = random.chance(0.5) ? [bearer(user())] : []
    const mustFail = toAdmin && method !== 'OPTIONS' && !namesRoot(path)
    return { ...whole('path', { method, path, headers }), mustFail }
  }

  function valid(): FuzzRequest {
    const route = anyRoute()
    const made = message(route, tokenFor(route))
    if (random.chance(0.003))
      made.body = JSON.stringify({
        userId: `u${random.between(1, 99)}`,
        password: 'tall ferns by the river',
      })
    return whole('ordinary', made)
  }

  /** Hardly HTTP any more. The client sends it alone and then ends its side of the connection. */
  function withBytes(): FuzzRequest {
    const ordinary = random.pick([withJson, withHeaders, withPath, valid])()
    const { bytes } = ordinary
    const malformed = random.weighted<() => Buffer>([
      [5, () => withOddBytes(bytes, random, 8)],
      [2, () => bytes.subarray(0, random.between(0, bytes.length))],
      [
        1,
        () =>
          Buffer.from(Array.from({ length: random.between(1, 600) }, () => random.between(0, 255))),
      ],
      [
        2,
        () => Buffer.from(bytes.toString('latin1').replace('\r\n', random.pick(FRAMING)), 'latin1'),
      ],
      [
        1,
        () =>
          Buffer.from(
            bytes.toString('latin1').replaceAll('\r\n', random.pick(['\n', '\r', '\r\r\n'])),
            'latin1',
          ),
      ],
      [
        1,
        () =>
          Buffer.from(
            bytes.toString('latin1').replace('HTTP/1.1', random.pick(VERSIONS)),
            'latin1',
          ),
      ],
      [1, () => Buffer.concat([bytes, bytes.subarray(0, random.between(0, bytes.length))])],
    ])()
    return { ...ordinary, kind: 'bytes', bytes: malformed, whole: false, mustFail: false }
  }

  const kinds: [number, () => FuzzRequest][] = [
    [22, withJson],
    [22, withToken],
    [20, withHeaders],
    [18, withPath],
    [10, withBytes],
    [8, valid],
  ]
  return () => random.weighted(kinds)()
}

const VERSIONS = [
  'HTTP/1.0',
  'HTTP/2.0',
  'HTTP/0.9',
  'HTTP/9.9',
  'HTTP/1.',
  'http/1.1',
  'RTSP/1.0',
  '',
]
// Contradictory or malformed statements about the length of a body, as request smuggling uses them.
const FRAMING = [
  '\r\nContent-Length: 5\r\nContent-Length: 6\r\n',
  '\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n',
  '\r\nTransfer-Encoding: chunked, identity\r\n',
  '\r\nTransfer-Encoding : chunked\r\n',
  '\r\nTransfer-Encoding: xchunked\r\n',
  '\r\nContent-Length: -1\r\n',
  '\r\nContent-Length: 1e3\r\n',
  '\r\nContent-Length: 99999999999999999999\r\n',
  '\r\n folded: line\r\n',
  '\r\n: nameless\r\n',
  '\r\nX\0Y: z\r\n',
  '\r\nHost: other\r\n',
]

function whole(kind: string, made: Message): FuzzRequest {
  return { kind, bytes: write(made), method: made.method, whole: true, mustFail: false }
}

/** Whether the path resolves to `/`, which is open to everybody. `/jobs/..` does. */
function namesRoot(path: string): boolean {
  const address = `http://localhost${path}`
  return URL.canParse(address) && new URL(address).pathname === '/'
}
