import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  bringingKeys,
  confusion,
  noAlgorithm,
  type Variant,
  wrongKeys,
} from './tokens/forged-variants.ts'
import { type Installation, startInstallation } from './tokens/installation.ts'
import {
  headerOf,
  type Json,
  jwkOf,
  makeToken,
  newEc,
  newEd,
  newRsa,
  type Signer,
} from './tokens/keys.ts'
import { altered, badClaims, badHeaders } from './tokens/signed-variants.ts'

const forgers = [newRsa('evil-rsa'), newEc('evil-ec'), newEd('evil-ed')]
const forgerSecret: Signer = { alg: 'HS256', kid: 'evil-hs', key: Buffer.alloc(32, 7) }
/** Tokens sent at once. An unknown key id waits up to a second for the issuer's keys. */
const AT_ONCE = 100

let installation: Installation
let variantsSent = 0

beforeAll(async () => {
  installation = await startInstallation(() => forgers.map(jwkOf))
}, 120_000)
afterAll(() => installation?.stop())

/** The statuses of a call that gives any valid token 404, and of one that gives an admin 200. */
async function statusesOf(authorization: string): Promise<[number, number]> {
  const headers = { authorization }
  const [job, board] = await Promise.all([
    installation.system.api.get('/jobs/none', { headers }),
    installation.system.api.get('/admin/queues/api/queues', { headers }),
  ])
  return [job.status, board.status]
}

/** Names of the variants that got another status than 401. */
async function notRefused(variants: Variant[]): Promise<string[]> {
  const found: string[] = []
  for (let at = 0; at < variants.length; at += AT_ONCE) {
    const part = variants.slice(at, at + AT_ONCE)
    const answers = await Promise.all(part.map(([, token]) => statusesOf(`Bearer ${token}`)))
    for (const [index, [job, board]] of answers.entries()) {
      // The HTTP server itself refuses a token that is not one line of text; that counts as well.
      if (job !== 401 || board !== 401) found.push(`${part[index]?.[0]}: ${job}, ${board}`)
    }
  }
  variantsSent += variants.length
  return found
}

describe('valid tokens', () => {
  it.each(['hs', 'ed', 'rs', 'es'] as const)('accepts tokens signed with key %s', async (name) => {
    const signer = installation.signers[name]
    const token = makeToken(headerOf(signer), installation.claims(), signer)
    expect(await statusesOf(`Bearer ${token}`)).toEqual([404, 200])
    const user = makeToken(
      headerOf(signer),
      { ...installation.claims(), role: 'user' } as Json,
      signer,
    )
    expect(await statusesOf(`Bearer ${user}`)).toEqual([404, 403])
  })

  it.each(['hs', 'ed', 'rs', 'es'] as const)(
    'gives an unknown role in a token signed with key %s the rights of a user',
    async (name) => {
      const signer = installation.signers[name]
      for (const role of [
        null,
        '',
        'root',
        'Admin',
        'admin ',
        ['admin'],
        { admin: true },
        true,
        '__proto__',
      ]) {
        const token = makeToken(
          headerOf(signer),
          { ...installation.claims(), role } as Json,
          signer,
        )
        expect(await statusesOf(`Bearer ${token}`), JSON.stringify(role)).toEqual([404, 403])
      }
    },
  )

  it.each(['jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt'])(
    'accepts tokens with typ %s',
    async (typ) => {
      const signer = installation.signers.rs
      const token = makeToken({ ...headerOf(signer), typ }, installation.claims(), signer)
      expect(await statusesOf(`Bearer ${token}`)).toEqual([404, 200])
    },
  )
})

describe('forged tokens', () => {
  it.each<[string, (surroundings: Installation) => Variant[]]>([
    ['with no algorithm', noAlgorithm],
    ['with a public key used as an HMAC secret', confusion],
    ['signed with another key', wrongKeys],
    ['that bring their own key', (all) => bringingKeys(all, [...forgers, forgerSecret])],
    ['with missing or malformed claims', badClaims],
    ['with unacceptable headers', badHeaders],
    ['altered from a valid one', altered],
  ])('refuses forged tokens %s', async (_name, variantsOf) => {
    expect(await notRefused(variantsOf(installation))).toEqual([])
  })

  it('requests none of the URLs in at least 300 forged tokens', () => {
    expect(variantsSent).toBeGreaterThanOrEqual(300)
    expect(installation.requestedTrapUrls).toEqual([])
  })

  it('refuses a valid token outside the Authorization header', async () => {
    const token = makeToken(
      headerOf(installation.signers.hs),
      installation.claims(),
      installation.signers.hs,
    )
    for (const scheme of ['', 'Basic ', 'Token ', 'JWT ', 'Bearer, ', 'Bearer Bearer ']) {
      expect(await statusesOf(`${scheme}${token}`), scheme).toEqual([401, 401])
    }
    const { api } = installation.system
    for (const name of ['access_token', 'token', 'authorization']) {
      expect((await api.get(`/jobs/none?${name}=${token}`)).status).toBe(401)
      expect(
        (await api.get('/jobs/none', { headers: { cookie: `${name}=${token}` } })).status,
      ).toBe(401)
      expect((await api.get('/jobs/none', { headers: { [`x-${name}`]: token } })).status).toBe(401)
    }
  })
})
