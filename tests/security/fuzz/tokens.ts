import type { Random } from '../../random.ts'
import { encode, type Json, makeToken } from '../tokens/keys.ts'

/** Valid tokens of users and an organizer, and a generator of invalid ones. */
export interface FuzzTokens {
  users: string[]
  organizer: string
  /** A token that must never be accepted. */
  forged(random: Random): string
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ALGS: unknown[] = [
  'HS256',
  'none',
  'None',
  '',
  null,
  'RS256',
  'ES256',
  'EdDSA',
  'HS512',
  ['HS256'],
  0,
  '__proto__',
]

export function createFuzzTokens(secret: string, users: number): FuzzTokens {
  const signer = { alg: 'HS256', key: Buffer.from(secret) } as const
  const exp = Math.floor(Date.now() / 1000) + 24 * 3600
  const sign = (claims: Json): string =>
    makeToken({ alg: 'HS256', typ: 'JWT' }, { exp, ...claims }, signer)
  const tokens = Array.from({ length: users }, (_, n) => sign({ sub: `fuzz-${n}`, role: 'user' }))
  const admin = { sub: 'root', role: 'admin', exp }

  /** A valid token with one letter replaced, which invalidates its signature or encoding. */
  function withOneLetterChanged(random: Random): string {
    const token = random.pick(tokens)
    const at = random.between(0, token.length - 1)
    const other = [...LETTERS].filter((letter) => letter !== token[at])
    return token.slice(0, at) + random.pick(other) + token.slice(at + 1)
  }

  function signedByStranger(random: Random): string {
    const header: Json = { alg: random.pick(ALGS) }
    if (random.chance(0.5))
      header[random.pick(['kid', 'jku', 'jwk', 'x5u', 'crit', 'typ', 'b64', 'zip'])] =
        random.pick<unknown>(['x', 1, null, {}, [], 'http://127.0.0.1:9/', ['b64'], '../x', true])
    const key = Buffer.from(random.pick(['', 'secret', 'x'.repeat(32), '\0']))
    return makeToken(
      header,
      random.chance(0.9) ? admin : random.pick(['null', '[]', '', '{', '1']),
      {
        alg: 'HS256',
        key,
      },
    )
  }

  const expired = makeToken({ alg: 'HS256' }, { ...admin, exp: 1 }, signer)
  const makers: [number, (random: Random) => string][] = [
    [5, withOneLetterChanged],
    [5, signedByStranger],
    [1, (random) => random.pick(tokens).slice(0, random.between(0, 60))],
    [
      1,
      (random) =>
        `${encode('{"alg":"none"}')}.${encode(JSON.stringify(admin))}.${random.pick(['', 'AA', '.'])}`,
    ],
    [
      1,
      (random) =>
        `${random.pick(tokens)}${random.pick(['=', 'A', '.', '.e30', '/', '\t', ',', '"'])}x`,
    ],
    [
      1,
      (random) =>
        random.pick(['', '.', '..', 'null', 'e30.e30.', 'undefined', '\xff\xfe', 'a.b.c.d.e', '*']),
    ],
    [1, (random) => random.pick(LETTERS.split('')).repeat(random.between(1, 9000))],
    [1, () => expired],
  ]
  return {
    users: tokens,
    organizer: sign({ sub: 'olga', role: 'organizer' }),
    forged: (random) => random.weighted(makers)(random),
  }
}
