import { createPublicKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import type { Installation } from './installation.ts'
import {
  encode,
  headerOf,
  type Json,
  jwkOf,
  makeToken,
  newEc,
  newEd,
  newRsa,
  type Signer,
} from './keys.ts'

/** A forged token and a description of the forgery. */
export type Variant = [name: string, token: string]

type Forgery = Pick<Installation, 'signers' | 'claims' | 'trapUrl'>

/** Algorithms that some libraries read as "no signature", and invalid ones. */
export function noAlgorithm({ signers, claims }: Forgery): Variant[] {
  const payload = encode(JSON.stringify(claims()))
  const stolen =
    makeToken(headerOf(signers.hs), { ...claims(), role: 'user' }, signers.hs).split('.')[2] ?? ''
  const algs = [
    'none',
    'None',
    'NONE',
    'nOnE',
    'none ',
    ' none',
    'none\0',
    '',
    'HS256\0',
    'hs256',
    'HS-256',
    'Hs256',
    'HMAC',
  ]
  const odd: unknown[] = [
    null,
    0,
    true,
    [],
    ['HS256'],
    ['none'],
    { alg: 'HS256' },
    '__proto__',
    'constructor',
    'dir',
    'A256KW',
  ]
  return [...algs, ...odd].flatMap((alg): Variant[] => {
    const header = encode(JSON.stringify({ alg, typ: 'JWT' }))
    return [
      [`alg ${JSON.stringify(alg)}, no signature`, `${header}.${payload}.`],
      [`alg ${JSON.stringify(alg)}, a stolen signature`, `${header}.${payload}.${stolen}`],
      [`alg ${JSON.stringify(alg)}, one zero byte`, `${header}.${payload}.AA`],
    ]
  })
}

/** Public keys used as HMAC secrets. */
export function confusion({ signers, claims }: Forgery): Variant[] {
  const { rs, es, ed } = signers
  const forms = (publicKey: KeyObject): [string, Uint8Array][] => {
    const pem = String(publicKey.export({ type: 'spki', format: 'pem' }))
    return [
      ['PEM', Buffer.from(pem)],
      ['PEM without its last line break', Buffer.from(pem.trim())],
      ['DER', publicKey.export({ type: 'spki', format: 'der' })],
      ['JWK', Buffer.from(JSON.stringify(publicKey.export({ format: 'jwk' })))],
    ]
  }
  const pairs = [rs, es, ed].flatMap((pair) =>
    forms(pair.publicKey).map(([form, key]) => ({ pair, form, key })),
  )
  const pkcs1 = Buffer.from(
    createPublicKey(rs.publicKey.export({ type: 'spki', format: 'pem' })).export({
      type: 'pkcs1',
      format: 'pem',
    }),
  )
  pairs.push({ pair: rs, form: 'PKCS#1 PEM', key: pkcs1 })
  return pairs.flatMap(({ pair, form, key }) =>
    (['HS256', 'HS384', 'HS512'] as const).flatMap((alg): Variant[] => [
      [
        `${alg} with the ${form} of ${pair.alg}`,
        makeToken({ alg, typ: 'JWT' }, claims(), { alg, key }),
      ],
      [
        `${alg} with the ${form} of ${pair.alg} and its kid`,
        makeToken({ alg, kid: pair.kid }, claims(), { alg, key }),
      ],
      [
        `${alg} with the ${form}, labeled ${pair.alg}`,
        makeToken(headerOf(pair), claims(), { alg, key }),
      ],
    ]),
  )
}

/** Guessable secrets, and foreign keys under known key ids. */
export function wrongKeys({ signers, claims }: Forgery): Variant[] {
  const secret = Buffer.from(signers.hs.key as Uint8Array)
  const session = hkdfSync('sha256', secret, '', 'ticket-line dashboard session', 32)
  const guesses: [string, Uint8Array][] = [
    ['an empty secret', Buffer.alloc(0)],
    ['zero bytes', Buffer.alloc(32)],
    ['"secret"', Buffer.from('secret')],
    ['the example of jwt.io', Buffer.from('your-256-bit-secret')],
    ['the secret without its last byte', secret.subarray(0, -1)],
    ['the secret and a line break', Buffer.concat([secret, Buffer.from('\n')])],
    ['a zero byte and the secret', Buffer.concat([Buffer.from('\0'), secret])],
    ['the secret in capital letters', Buffer.from(secret.toString().toUpperCase())],
    ['the secret decoded from hex', Buffer.from(secret.toString(), 'hex')],
    ['the secret in base64', Buffer.from(secret.toString('base64'))],
    ['the key of dashboard sessions', Buffer.from(session)],
    ['random bytes', randomBytes(32)],
  ]
  const strangers: Signer[] = [
    newRsa('rsa-1'),
    newEc('ec-1'),
    newEd('own-1'),
    newEd('rsa-1'),
    newEc('own-1'),
  ]
  return [
    ...guesses.map(
      ([name, key]): Variant => [
        name,
        makeToken({ alg: 'HS256', typ: 'JWT' }, claims(), { alg: 'HS256', key }),
      ],
    ),
    ...strangers.map(
      (signer): Variant => [
        `a stranger's ${signer.alg} key as ${signer.kid}`,
        makeToken(headerOf(signer), claims(), signer),
      ],
    ),
    ...Object.values(signers).flatMap((signer): Variant[] =>
      ['RS384', 'RS512', 'PS256', 'ES384', 'ES512', 'ES256K', 'Ed448', 'HS384', 'RSA-OAEP'].map(
        (alg) => [
          `a valid ${signer.alg} signature labeled ${alg}`,
          makeToken({ ...headerOf(signer), alg }, claims(), signer),
        ],
      ),
    ),
  ]
}

/** Keys that the token carries or links to, and key ids that might be read as paths or queries. */
export function bringingKeys({ signers, claims, trapUrl }: Forgery, own: Signer[]): Variant[] {
  const hints = (signer: Signer): Json[] => {
    const jwk =
      'publicKey' in signer
        ? jwkOf(signer as never)
        : { kty: 'oct', k: encode(signer.key as Uint8Array) }
    const x5c = ['MIIB', encode(JSON.stringify(jwk))]
    return [
      { jwk },
      { jku: `${trapUrl}/jku` },
      { x5u: `${trapUrl}/x5u` },
      { x5c },
      { jwk, jku: `${trapUrl}/jku`, x5u: `${trapUrl}/x5u` },
    ]
  }
  const withOwnKey = own.flatMap((signer) =>
    hints(signer).flatMap((hint) =>
      [undefined, signer.kid, signers.rs.kid, signers.ed.kid].map(
        (kid): Variant => [
          `${signer.alg} with ${Object.keys(hint).join(' and ')}, kid ${kid}`,
          makeToken(
            { alg: signer.alg, typ: 'JWT', ...hint, ...(kid && { kid }) },
            claims(),
            signer,
          ),
        ],
      ),
    ),
  )
  const kids: unknown[] = [
    '../../../../dev/null',
    '/dev/null',
    "' UNION SELECT ''--",
    `${trapUrl}/kid`,
    '',
    0,
    null,
    [],
    {},
    ['own-1'],
    '__proto__',
    'constructor',
    'own-1\0',
    'OWN-1',
    ' own-1',
    'x'.repeat(4000),
  ]
  const empty: Signer = { alg: 'HS256', key: Buffer.alloc(0) }
  const named = kids.flatMap((kid) =>
    [empty, ...own].map(
      (signer): Variant => [
        `${signer.alg} with kid ${JSON.stringify(kid).slice(0, 40)}`,
        makeToken({ alg: signer.alg, typ: 'JWT', kid }, claims(), signer),
      ],
    ),
  )
  return [...withOwnKey, ...named]
}
