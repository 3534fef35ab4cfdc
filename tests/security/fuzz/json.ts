import type { Random } from '../../random.ts'

// JSON source texts, since JSON.stringify would not write most of them.
const LITERALS = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '1',
  '-1',
  '1.5',
  '1e999',
  '-1e999',
  '1e-999',
  '9007199254740991',
  '9007199254740993',
  '123456789012345678901234567890',
  '1E400',
  '01',
  '+1',
  '.5',
  '1.',
  '0x10',
  'NaN',
  'Infinity',
  'undefined',
  "'a'",
  '""',
  '"a"',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\ud83c\\udf9f"',
  '"\\x"',
  '"\\',
  '"a\nb"',
  '"__proto__"',
  '[]',
  '{}',
  '[[]]',
  '{"a":1}',
  '["1"]',
  '[1]',
  '{"$gt":""}',
  '{"toString":1}',
  '{"__proto__":{"role":"admin"}}',
  '{"valueOf":null,"length":1e9}',
  '"1"',
  '"admin"',
  '"\'; DROP TABLE events; --"',
]
const NAMES = [
  'eventId',
  'userId',
  'password',
  'totalTickets',
  'role',
  'disabled',
  'refreshToken',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'EVENTID',
  'eventId ',
  'event\\u0049d',
  '\\u0000',
  '',
  'admin',
  'hasOwnProperty',
  'then',
  'toJSON',
]

function value(random: Random): string {
  return random.weighted<() => string>([
    [12, () => random.pick(LITERALS)],
    [1, () => `"${'x'.repeat(random.between(1, 16_000))}"`],
    [1, () => '['.repeat(random.between(1, 8_000))],
    [1, () => nested(random.between(1, 4_000))],
    [2, () => String(random.between(-5, 50))],
    [
      1,
      () =>
        `"${String.fromCodePoint(random.between(0x80, 0xd7ff)).repeat(random.between(1, 200))}"`,
    ],
  ])()
}

const nested = (depth: number): string => '{"a":'.repeat(depth) + 1 + '}'.repeat(depth)

/**
 * Derives a body from a valid one: changes, adds or repeats members, or cuts or corrupts the text.
 */
export function malformedJson(good: Record<string, unknown>, random: Random): Buffer {
  const members = Object.entries(good).map(([name, given]) =>
    random.chance(0.4) ? `"${name}":${value(random)}` : `"${name}":${JSON.stringify(given)}`,
  )
  while (random.chance(0.35)) members.push(`"${random.pick(NAMES)}":${value(random)}`)
  const text = random.chance(0.1) ? value(random) : `{${members.join(',')}}`
  const bytes = Buffer.from(text)
  return random.weighted<() => Buffer>([
    [14, () => bytes],
    [1, () => bytes.subarray(0, random.between(0, bytes.length))],
    [1, () => Buffer.concat([Buffer.from('\ufeff'), bytes])],
    [
      1,
      () =>
        Buffer.concat([
          bytes,
          Buffer.from(random.pick([' ', '\0', '}', ',', '{}', '/**/', '\n\n'])),
        ]),
    ],
    [2, () => withOddBytes(bytes, random)],
    [1, () => Buffer.concat([bytes, Buffer.alloc(random.between(1, 40_000), ' ')])],
    [1, () => Buffer.from(text, 'utf16le')],
  ])()
}

/** Replaces up to `most` bytes by random ones, which may not be UTF-8. */
export function withOddBytes(bytes: Buffer, random: Random, most = 4): Buffer {
  const changed = Buffer.from(bytes)
  for (let left = random.between(1, most); left > 0 && changed.length > 0; left--) {
    changed[random.between(0, changed.length - 1)] = random.between(0, 255)
  }
  return changed
}
