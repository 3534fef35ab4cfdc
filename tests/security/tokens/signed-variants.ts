import type { Variant } from './forged-variants.ts'
import type { Installation } from './installation.ts'
import { encode, headerOf, type Json, makeToken, type Signer, signText } from './keys.ts'

type Forgery = Pick<Installation, 'signers' | 'claims'>

const nowS = (): number => Math.floor(Date.now() / 1000)

/** Tokens with a valid signature and unacceptable claims, for each kind of key. */
export function badClaims({ signers, claims }: Forgery): Variant[] {
  const { sub: _sub, ...noSub } = claims()
  const { exp: _exp, ...noExp } = claims()
  const { iss: _iss, ...noIss } = claims()
  const { aud: _aud, ...noAud } = claims()
  const changed = (name: string, values: unknown[]): [string, Json][] =>
    values.map((value) => [
      `${name} ${JSON.stringify(value)?.slice(0, 30)}`,
      { ...claims(), [name]: value },
    ])
  const bad: [string, Json | string][] = [
    ['no sub', noSub],
    ['no exp', noExp],
    ['no iss', noIss],
    ['no aud', noAud],
    ...changed('exp', [0, -1, nowS() - 1, null, String(nowS() + 60), [nowS() + 60], {}, true]),
    ...changed('nbf', [nowS() + 300, String(nowS()), null, []]),
    ...changed('iat', ['now', null, {}, nowS() + 60]),
    ...changed('sub', [
      '',
      null,
      7,
      [],
      ['elsewhere'],
      {},
      'a\nb',
      'a\0',
      '\ud800',
      'x'.repeat(129),
    ]),
    ...changed('iss', [
      '',
      null,
      'https://issuer.example/',
      'HTTPS://issuer.example',
      ['https://issuer.example'],
      'https://issuer.example.evil',
    ]),
    ...changed('aud', ['', null, 'ticket', 'tickets2', [], ['others'], { tickets: true }]),
    ['never expiring', JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999')],
    ...['null', '[]', '"admin"', '7', '{', '', '\ufeff{}', JSON.stringify([claims()])].map(
      (text): [string, string] => [`payload ${text.slice(0, 20)}`, text],
    ),
  ]
  return bad.flatMap(([name, payload]) =>
    [signers.hs, signers.ed, signers.rs].map(
      (signer): Variant => [`${signer.alg}, ${name}`, makeToken(headerOf(signer), payload, signer)],
    ),
  )
}

/** Tokens with a valid signature and a header that must not be accepted. */
export function badHeaders({ signers, claims }: Forgery): Variant[] {
  const headers: Json[] = [
    ...[
      'at+jwt ',
      'id+jwt',
      'JWE',
      '',
      'JWT ',
      'application/jwt',
      'dashboard-session+jwt',
      5,
      null,
      ['JWT'],
    ].map((typ) => ({ typ })),
    ...[['exp'], ['b64'], [], 'exp', null, {}, [''], ['alg'], ['__proto__']].map((crit) => ({
      crit,
    })),
    { crit: ['b64'], b64: false },
    { crit: ['b64'], b64: 'false' },
    { crit: ['http://example.com/x'], 'http://example.com/x': true },
  ]
  return Object.values(signers).flatMap((signer) =>
    headers.map(
      (header): Variant => [
        `${signer.alg} with ${JSON.stringify(header)}`,
        makeToken({ ...headerOf(signer), ...header }, claims(), signer),
      ],
    ),
  )
}

/** Texts that somebody without a key can make from a valid token of a user. */
export function altered({ signers, claims }: Forgery): Variant[] {
  return Object.values(signers).flatMap((signer) => alteredOne(signer, claims()))
}

function alteredOne(signer: Signer, claims: Json): Variant[] {
  const token = makeToken(headerOf(signer), { ...claims, role: 'user' }, signer)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const admin = encode(JSON.stringify(claims))
  const twice = encode(JSON.stringify({ ...claims, role: 'user' }).replace('{', '{"role":"admin",'))
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = letters.indexOf(signature.at(-1) ?? '')
  const respelled = `${signature.slice(0, -1)}${letters[last ^ 1]}`
  const bits = Buffer.from(signature, 'base64url')
  const flipped = (at: number) =>
    encode(bits.map((byte, index) => (index === at ? byte ^ 1 : byte)))
  const whole = Buffer.from(`${header}.${payload}`)
  const texts: [string, string][] = [
    ['another payload', `${header}.${admin}.${signature}`],
    ['a member named twice', `${header}.${twice}.${signature}`],
    ['another header', `${encode('{"alg":"HS256","alg":"none"}')}.${payload}.${signature}`],
    ['header and payload swapped', `${payload}.${header}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['no third part', `${header}.${payload}`],
    ['a fourth part', `${token}.${signature}`],
    ["a JWE's five parts", `${header}.${payload}.${signature}.AA.AA`],
    ['no payload', `${header}..${signature}`],
    ['no header', `.${payload}.${signature}`],
    ['a dot in front', `.${token}`],
    ['a dot behind', `${token}.`],
    ['a signature cut by a letter', token.slice(0, -1)],
    ['a signature cut in half', `${header}.${payload}.${signature.slice(0, signature.length / 2)}`],
    ['a letter behind', `${token}A`],
    ['padding', `${token}=`],
    ['more padding', `${token}==`],
    ['another encoding of the last letter', `${header}.${payload}.${respelled}`],
    ['the first bit flipped', `${header}.${payload}.${flipped(0)}`],
    ['the last bit flipped', `${header}.${payload}.${flipped(bits.length - 1)}`],
    ['a signature of zeros', `${header}.${payload}.${encode(Buffer.alloc(bits.length))}`],
    ['a signature of ones', `${header}.${payload}.${encode(Buffer.alloc(bits.length, 1))}`],
    ['the signature repeated', `${header}.${payload}.${signature}${signature}`],
    ['a padded payload', `${header}.${payload}=.${signature}`],
    ['a header in plain base64', `${encode(' {"alg":"HS256"}')}+/.${payload}.${signature}`],
    ['parts encoded twice', `${encode(header)}.${encode(payload)}.${encode(signature)}`],
    ['all of it encoded', encode(token)],
    ['all of it as JSON', encode(JSON.stringify({ payload, protected: header, signature }))],
    ['only capital letters', token.toUpperCase()],
    ['an escaped dot', token.replaceAll('.', '%2e')],
    ['10,000 letters', `${header}.${encode('x'.repeat(7500))}.${signature}`],
    [
      'a compressed payload',
      `${encode(`{"alg":"${signer.alg}","zip":"DEF"}`)}.${admin}.${signature}`,
    ],
    [
      'an HMAC keyed with its own text',
      `${header}.${admin}.${signText(whole.toString(), { alg: 'HS256', key: whole })}`,
    ],
  ]
  return texts.map(([name, text]) => [`${signer.alg}, ${name}`, text])
}
