import { generateKeyPairSync } from 'node:crypto'
import { createLog, type Log, systemClock } from '@ticket-line/shared'
import { base64url, SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTokenIssuer } from './issue-token.js'
import { createKeyring, type Keyring } from './keyring.js'
import { createTokenVerifier, type TokenVerifier, type TokenVerifierDeps } from './verify-token.js'

const secret = new TextEncoder().encode('0123456789abcdefghijklmnopqrstuvwxyz')
const nowS = 1_800_000_000
const log = createLog('test', 'silent')
const origin = { familyId: 'family', generation: 2 }
const good = { sub: 'ada', exp: nowS + 60 }
/** When a good token expires. */
const expiresAtMs = (nowS + 60) * 1000

interface Sealed {
  key?: Uint8Array
  header?: Record<string, unknown>
}

function seal(
  claims: Record<string, unknown>,
  { key = secret, header = {} }: Sealed = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', ...header }).sign(key)
}

/** Assembles a token by hand. It has a valid signature if a key is given. */
async function raw(
  header: string,
  payload: string,
  key?: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const input = `${base64url.encode(header)}.${base64url.encode(payload)}`
  if (key === undefined) return `${input}.`
  const hmac = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ])
  const signature = await crypto.subtle.sign('HMAC', hmac, new TextEncoder().encode(input))
  return `${input}.${base64url.encode(new Uint8Array(signature))}`
}

describe.each([
  { kind: 'new', isKnown: false },
  { kind: 'known', isKnown: true },
])('tokens signed with the secret, with a $kind header,', ({ isKnown }) => {
  let keyring: Keyring
  let verify: TokenVerifier
  const clock = { ...systemClock, wallMs: () => nowS * 1000 }

  /** A verifier that has verified tokens with common headers, or has verified none. */
  async function createVerifier(deps: Partial<TokenVerifierDeps> = {}): Promise<TokenVerifier> {
    const verifier = createTokenVerifier({ config: {}, keyring, log, clock, ...deps })
    if (!isKnown) return verifier
    const claims = { ...good, sub: 'first', iss: 'us', aud: 'api', iat: nowS }
    for (const header of [{}, { typ: 'JWT' }, { typ: 'at+jwt' }])
      expect(await verifier(await seal(claims, { header }))).toBeDefined()
    return verifier
  }

  beforeAll(async () => {
    keyring = await createKeyring({ secret })
  })
  beforeEach(async () => {
    verify = await createVerifier()
  })

  test(`are verified by ${isKnown ? 'an HMAC alone' : 'jose'}`, async () => {
    const subtle = vi.spyOn(crypto.subtle, 'verify')
    try {
      expect(await verify(await seal(good))).toBeDefined()
      expect(subtle).toHaveBeenCalledTimes(isKnown ? 0 : 1)
    } finally {
      subtle.mockRestore()
    }
  })

  test.each([
    ['no role, which means user', good, { userId: 'ada', role: 'user' }],
    ['a role', { ...good, role: 'organizer' }, { userId: 'ada', role: 'organizer' }],
    ['a subject of any script', { ...good, sub: 'Žofie 🎟' }, { userId: 'Žofie 🎟', role: 'user' }],
    ['unknown claims', { ...good, scope: 'x' }, { userId: 'ada', role: 'user' }],
    [
      'an issue time',
      { ...good, iat: nowS },
      { userId: 'ada', role: 'user', origin: { issuedAtS: nowS } },
    ],
    [
      'a sign-in and a generation',
      { ...good, sid: 'family', gen: 3 },
      { userId: 'ada', role: 'user', origin: { familyId: 'family', generation: 3 } },
    ],
    [
      'a sign-in and a generation of the wrong types',
      { ...good, sid: 7, gen: '3' },
      { userId: 'ada', role: 'user', origin: {} },
    ],
    ['a role of another application', { ...good, role: 'root' }, { userId: 'ada', role: 'user' }],
    ['null as role', { ...good, role: null }, { userId: 'ada', role: 'user' }],
    ['a list of roles in "role"', { ...good, role: ['admin'] }, { userId: 'ada', role: 'user' }],
    ['__proto__ as role', { ...good, role: '__proto__' }, { userId: 'ada', role: 'user' }],
    ['nbf 5 s ahead', { ...good, nbf: nowS + 5 }, { userId: 'ada', role: 'user' }],
    [
      'iat 5 s ahead',
      { ...good, iat: nowS + 5 },
      { userId: 'ada', role: 'user', origin: { issuedAtS: nowS + 5 } },
    ],
  ])('are accepted with %s', async (_name, claims, principal) => {
    const token = await seal(claims)
    expect(await verify(token)).toEqual({ ...principal, expiresAtMs })
    expect(await verify(token)).toEqual({ ...principal, expiresAtMs })
  })

  test.each(['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+JWT'])(
    'are accepted with typ %s',
    async (typ) => {
      expect(await verify(await seal(good, { header: { typ } }))).toBeDefined()
    },
  )

  test.each([
    ['when they expire', { ...good, exp: nowS }],
    ['if they are valid in 6 s', { ...good, nbf: nowS + 6 }],
    ['if they are issued in 6 s', { ...good, iat: nowS + 6 }],
    ['one second after they expired', { ...good, exp: nowS - 1 }],
    ['without exp', { sub: 'ada' }],
    ['with exp as text', { ...good, exp: String(nowS + 60) }],
    ['without sub', { exp: nowS + 60 }],
    ['with an empty sub', { ...good, sub: '' }],
    ['with a number as sub', { ...good, sub: 7 }],
    ['with a control character in sub', { ...good, sub: 'a\nb' }],
    ['with a sub that is too long', { ...good, sub: 'a'.repeat(129) }],
  ])('are refused %s', async (_name, claims) => {
    expect(await verify(await seal(claims as Record<string, unknown>))).toBeUndefined()
  })

  test.each([
    ['59 of 60 s old', nowS - 59, true],
    ['61 of 60 s old', nowS - 61, false],
    ['issued in the future', nowS + 61, false],
    ['without iat', undefined, false],
  ])('are accepted only up to the age maxTokenAgeS: %s', async (_name, iat, accepted) => {
    const strict = await createVerifier({ config: { maxTokenAgeS: 60 } })
    const token = await seal({ ...good, ...(iat !== undefined && { iat }) })
    expect((await strict(token)) !== undefined).toBe(accepted)
    // A second time from the cache.
    expect((await strict(token)) !== undefined).toBe(accepted)
  })

  test('are refused if they would never expire', async () => {
    const token = await raw('{"alg":"HS256"}', '{"sub":"ada","exp":1e999}', secret)
    expect(await verify(token)).toBeUndefined()
  })

  test.each([
    ['typ of an id token', { typ: 'id+jwt' }],
    ['typ of a logout token', { typ: 'logout+jwt' }],
    ['typ of our dashboard', { typ: 'dashboard-session+jwt' }],
    ['typ application/jwt', { typ: 'application/jwt' }],
    ['a longer typ', { typ: 'x-at+jwt' }],
    ['an empty typ', { typ: '' }],
    ['a number as typ', { typ: 1 }],
    ['null as typ', { typ: null }],
    ['a critical extension', { crit: ['exp2'], exp2: 1 }],
  ])('are refused with %s in the header', async (_name, header) => {
    const token = await raw(
      JSON.stringify({ alg: 'HS256', ...header }),
      JSON.stringify(good),
      secret,
    )
    expect(await verify(token)).toBeUndefined()
  })

  test('are not verified with a key that their header contains or points to', async () => {
    const strangers = new TextEncoder().encode('f'.repeat(32))
    const jwk = { kty: 'oct', k: base64url.encode(strangers) }
    const header = {
      jwk,
      jku: 'https://127.0.0.1/keys',
      x5u: 'https://127.0.0.1/cert',
      kid: '../../dev/null',
    }
    expect(await verify(await seal(good, { key: strangers, header }))).toBeUndefined()
    expect(await verify(await seal(good, { header }))).toBeDefined()
  })

  test('are refused with another algorithm, even with the right secret', async () => {
    const hs512 = await new SignJWT(good)
      .setProtectedHeader({ alg: 'HS512' })
      .sign(new Uint8Array(64))
    const { privateKey } = generateKeyPairSync('ed25519')
    const eddsa = await new SignJWT(good).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey)
    const none = new UnsecuredJWT(good).encode()
    const noneByHand = await raw('{"alg":"None"}', JSON.stringify(good))
    const named = await raw('{"alg":"none"}', JSON.stringify(good), secret)
    for (const token of [hs512, eddsa, none, noneByHand, named])
      expect(await verify(token)).toBeUndefined()
  })

  test('are refused if one character is changed', async () => {
    const token = await seal({ ...good, role: 'user' })
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let i = 0; i < token.length; i++) {
      // The next letter differs in the lowest bits, which a decoder ignores at the end of a
      // signature.
      const swapped = letters[(letters.indexOf(token[i] ?? '') + 1) % 64]
      const changed = token.slice(0, i) + swapped + token.slice(i + 1)
      expect(await verify(changed), `position ${i}`).toBeUndefined()
    }
  })

  test.each(['', '.', '..', '...', 'a.b.c', 'null', '{}', 'e30.e30.e30', 'x'.repeat(20_000)])(
    'are refused if they are %j',
    async (text) => {
      expect(await verify(text)).toBeUndefined()
    },
  )

  test('are refused when they expire while they are cached', async () => {
    let at = nowS * 1000
    const watching = await createVerifier({ clock: { ...systemClock, wallMs: () => at } })
    const token = await seal(good)
    expect(await watching(token)).toBeDefined()
    at += 59_999
    expect(await watching(token)).toBeDefined()
    at += 1
    expect(await watching(token)).toBeUndefined()
  })

  test.each([
    [
      'a namespaced claim',
      'https://example.com/role',
      { 'https://example.com/role': 'organizer' },
      'organizer',
    ],
    ['a list of roles', 'roles', { roles: ['offline', 'organizer', 'user'] }, 'organizer'],
    ['the highest of a list', 'roles', { roles: ['user', 'admin', 'organizer'] }, 'admin'],
    ['a list without a role of ours', 'roles', { roles: ['root'] }, 'user'],
    [
      'a claim inside another',
      'realm_access.roles',
      { realm_access: { roles: ['admin'] } },
      'admin',
    ],
    [
      'a claim with dots in its name',
      'a.b',
      { 'a.b': 'organizer', a: { b: 'admin' } },
      'organizer',
    ],
    ['"role" is not read', 'roles', { role: 'admin' }, 'user'],
    ['inherited members are not read', '__proto__.constructor', {}, 'user'],
    ['a string is not a list', 'roles', { roles: 'user admin' }, 'user'],
  ])(
    'have their role in the claim of JWT_ROLE_CLAIM: %s',
    async (_name, roleClaim, claims, role) => {
      const named = await createVerifier({ config: { roleClaim } })
      expect(await named(await seal({ ...good, ...claims }))).toEqual({
        userId: 'ada',
        role,
        expiresAtMs,
      })
    },
  )

  test('issued here have their role in the claim of JWT_ROLE_CLAIM', async () => {
    const roleClaim = 'https://example.com/role'
    const boss = { userId: 'ada', role: 'admin' } as const
    const token = await createTokenIssuer(keyring, { roleClaim }, clock)(boss, origin)
    const named = await createVerifier({ config: { roleClaim } })
    expect(await named(token)).toEqual({
      ...boss,
      origin: { ...origin, issuedAtS: nowS },
      expiresAtMs: expect.any(Number),
    })
  })

  test.each([
    ['an unexpected typ', good, { typ: 'id+jwt' }, '"typ" is neither JWT nor at+jwt'],
    ['another issuer', { ...good, iss: 'them' }, {}, 'unexpected "iss" claim value'],
    ['an expiry in the past', { ...good, exp: nowS }, {}, 'the token has expired'],
    [
      'a start in the future',
      { ...good, nbf: nowS + 60 },
      {},
      '"nbf" claim timestamp check failed',
    ],
    ['not a user id', { ...good, iss: 'us', sub: '' }, {}, '"sub" is not a user id'],
  ])('are refused with a reason in the debug log: %s', async (_name, claims, header, reason) => {
    const lines: Record<string, unknown>[] = []
    const debug = (fields: Record<string, unknown>) => lines.push(fields)
    const strict = await createVerifier({
      config: { issuer: 'us' },
      log: { debug } as unknown as Log,
    })
    expect(await strict(await seal({ iss: 'us', ...claims }, { header }))).toBeUndefined()
    expect(lines).toEqual([{ reason }])
  })

  test('must have the issuer and audience if these are set', async () => {
    const strict = await createVerifier({ config: { issuer: 'us', audience: 'api' } })
    expect(await strict(await seal({ ...good, iss: 'us', aud: ['web', 'api'] }))).toBeDefined()
    for (const claims of [
      {},
      { iss: 'us' },
      { aud: 'api' },
      { iss: 'them', aud: 'api' },
      { iss: 'us', aud: 'web' },
    ]) {
      expect(await strict(await seal({ ...good, ...claims }))).toBeUndefined()
    }
  })
})

describe('EdDSA keys', () => {
  const pem = () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const ada = { userId: 'ada', role: 'organizer' } as const

  test('verify tokens of the previous key during a rotation, and not of older ones', async () => {
    const [first, second, third] = [pem(), pem(), pem()]
    const before = await createKeyring({ privateKeys: first })
    const during = await createKeyring({ privateKeys: second + first })
    const after = await createKeyring({ privateKeys: third + second })
    const token = await createTokenIssuer(before, {})(ada, origin)
    expect(await createTokenVerifier({ config: {}, keyring: during, log })(token)).toMatchObject({
      ...ada,
      origin,
    })
    expect(await createTokenVerifier({ config: {}, keyring: after, log })(token)).toBeUndefined()
    const next = await createTokenIssuer(during, {})(ada, origin)
    expect(await createTokenVerifier({ config: {}, keyring: before, log })(next)).toBeUndefined()
    expect(await createTokenVerifier({ config: {}, keyring: after, log })(next)).toMatchObject({
      ...ada,
      origin,
    })
  })

  test('are never used as HMAC secrets', async () => {
    const keyring = await createKeyring({ secret, privateKeys: pem() })
    const verify = createTokenVerifier({
      config: {},
      keyring,
      log,
      clock: { ...systemClock, wallMs: () => nowS * 1000 },
    })
    const publicKey = base64url.decode(keyring.own[0]?.publicJwk.x ?? '')
    const token = await seal(good, { key: publicKey, header: { kid: keyring.own[0]?.kid } })
    expect(await verify(token)).toBeUndefined()
    expect(await verify(await seal(good))).toBeDefined()
  })

  test('are published without private members', async () => {
    const { own } = await createKeyring({ privateKeys: pem() })
    expect(Object.keys(own[0]?.publicJwk ?? {}).sort()).toEqual([
      'alg',
      'crv',
      'kid',
      'kty',
      'use',
      'x',
    ])
  })

  test.each([
    'not a key',
    '[]x',
    '{"kty":"oct","k":"AAAA"}',
    '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----',
  ])('must be readable: %j', async (privateKeys) => {
    await expect(createKeyring({ privateKeys })).rejects.toThrow(/JWT_PRIVATE_KEYS/)
  })
})
