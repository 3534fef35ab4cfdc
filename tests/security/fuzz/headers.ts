import type { Random } from '../../random.ts'

/** Headers that the API reads, each with unusual and malformed values. */
const HEADERS: Record<string, readonly string[]> = {
  Prefer: [
    'wait=1',
    'wait=0',
    'wait=-1',
    'wait=1e9',
    'wait=99999999999999999999',
    'respond-async',
    'respond-async, wait=0',
    'return=representation',
    'wait',
    '=',
    ';;;',
    'wait="1',
    ',,,,',
    'a='.repeat(500),
    'return=representation;x="\\"',
    'wait=0;wait=1, wait=2',
  ],
  'Idempotency-Key': [
    'a',
    '"a"',
    '"',
    '""',
    'x'.repeat(128),
    'x'.repeat(129),
    '\xe9',
    'a b',
    '"a\\"b"',
    '\t',
    "';--",
    '__proto__',
    '{s0}:x',
  ],
  'Content-Type': [
    'application/json',
    'application/json; charset=utf-8',
    'application/json; charset=utf-16',
    'text/plain',
    'multipart/form-data',
    'application/x-www-form-urlencoded',
    ';',
    'application/json;'.repeat(200),
    'application/json;charset=utf-8'.padEnd(3000, ' '),
    '\xff',
    '',
  ],
  'Content-Encoding': ['gzip', 'br', 'identity', 'deflate, gzip', '*', ''],
  Accept: [
    'text/csv',
    'text/csv;q=0',
    '*/*',
    'text/html',
    ';q=',
    'text/csv,'.repeat(500),
    'q=1;'.repeat(100),
  ],
  'If-None-Match': ['*', '"5-0"', 'W/"x"', '"', ',', '"a",'.repeat(300)],
  'X-Forwarded-For': [
    '1.2.3.4',
    '::1',
    '::ffff:1.2.3.4',
    'x',
    ','.repeat(500),
    '1.2.3.4, evil',
    '%',
    'fe80::1%eth0',
    '999.1.1.1',
    '\x80',
  ],
  'X-Forwarded-Proto': ['https', 'x', 'https,http'],
  'X-Request-Id': ['a', 'a b', 'x'.repeat(200), '<script>', '\xff', '%0d%0a'],
  Cookie: [
    'refresh_token=x',
    'refresh_token=%',
    'ticket_line_admin=a.b.c',
    '=',
    ';;;',
    'a=b; '.repeat(400),
    'refresh_token="',
    '__proto__=1',
  ],
  Origin: ['null', 'http://x', 'x', ''],
  'Sec-Fetch-Site': ['cross-site', 'same-origin', 'x'],
  Range: ['bytes=0-', 'bytes=0-0,1-1,2-2', 'bytes=-99999999999', 'x'],
  Expect: ['100-continue', 'x', '200-ok'],
  Connection: ['keep-alive', 'close', 'upgrade', 'x, y, z'],
  Upgrade: ['websocket', 'h2c', 'x'],
  Authorization: [
    'Basic',
    'Basic !',
    'Basic Og==',
    'Basic YTpi',
    'Digest x',
    'Bearer',
    'bearer  ',
    'Bearer tlk_',
    'Bearer tlk_AAAAAAAAAAAAAAAA_000000000000000000000000000000001fFK7h',
    'Negotiate x',
    '\xff',
    'Basic //79',
  ],
  TE: ['trailers', 'x'],
  'X-HTTP-Method-Override': ['DELETE', 'PUT'],
}
const NAMES = Object.keys(HEADERS)

/** Some unusual headers. None of them states the length of the body. */
export function unusualHeaders(random: Random): [string, string][] {
  const headers: [string, string][] = []
  do {
    const name = random.pick(NAMES)
    headers.push([random.chance(0.1) ? name.toUpperCase() : name, random.pick(HEADERS[name] ?? [])])
  } while (random.chance(0.6))
  if (random.chance(0.02)) headers.push(['X-Long', 'x'.repeat(random.between(8_000, 20_000))])
  if (random.chance(0.02)) {
    for (let left = random.between(50, 1500); left > 0; left--) headers.push([`X-${left}`, ''])
  }
  return headers
}
