import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  broughtAlong,
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
  newEc,
  newEd,
  newRsa,
  type Signer,
  seal,
} from './tokens/keys.ts'
import { altered, badClaims, badHeaders } from './tokens/signed-variants.ts'

const forgers = [newRsa('evil-rsa'), newEc('evil-ec'), newEd('evil-ed')]
const forgerSecret: Signer = { alg: 'HS256', kid: 'evil-hs', key: Buffer.alloc(32, 7) }
/** How many are asked about at once: an unknown key id waits up to a second for the issuer's keys, together with others. */
const AT_ONCE = 100

let place: Installation
let variantsSent = 0

beforeAll(async () => {
  place = await startInstallation(() => forgers.map(jwkOf))
}, 120_000)
afterAll(() => place?.stop())

/** Statuses of a call that any good token opens as far as 404, and of one that an admin's opens. */
async function statusesOf(authorization: string): Promise<[number, number]> {
  const headers = { authorization }
  const [job, board] = await Promise.all([
    place.system.api.get('/jobs/none', { headers }),
    place.system.api.get('/admin/queues/api/queues', { headers }),
  ])
  return [job.status, board.status]
}

/** The names of those that were believed, or answered otherwise than with 401. */
async function believed(variants: Variant[]): Promise<string[]> {
  const found: string[] = []
  for (let at = 0; at < variants.length; at += AT_ONCE) {
    const part = variants.slice(at, at + AT_ONCE)
    const answers = await Promise.all(part.map(([, token]) => statusesOf(`Bearer ${token}`)))
    for (const [index, [job, board]] of answers.entries()) {
      // A token that is no text of one line is refused by its header already; that is a refusal, too.
      if (job !== 401 || board !== 401) found.push(`${part[index]?.[0]}: ${job}, ${board}`)
    }
  }
  variantsSent += variants.length
  return found
}

describe('honest tokens', () => {
  it.each(['hs', 'ed', 'rs', 'es'] as const)('of %s are believed', async (name) => {
    const signer = place.signers[name]
    const token = seal(headerOf(signer), place.claims(), signer)
    expect(await statusesOf(`Bearer ${token}`)).toEqual([404, 200])
    const user = seal(headerOf(signer), { ...place.claims(), role: 'user' } as Json, signer)
    expect(await statusesOf(`Bearer ${user}`)).toEqual([404, 403])
  })

  it.each(['hs', 'ed', 'rs', 'es'] as const)(
    'of %s with an unknown role are those of a user',
    async (name) => {
      const signer = place.signers[name]
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
        const token = seal(headerOf(signer), { ...place.claims(), role } as Json, signer)
        expect(await statusesOf(`Bearer ${token}`), JSON.stringify(role)).toEqual([404, 403])
      }
    },
  )

  it.each(['jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt'])(
    'of typ %s are believed',
    async (typ) => {
      const signer = place.signers.rs
      const token = seal({ ...headerOf(signer), typ }, place.claims(), signer)
      expect(await statusesOf(`Bearer ${token}`)).toEqual([404, 200])
    },
  )
})

describe('forged tokens are not believed', () => {
  it.each<[string, (surroundings: Installation) => Variant[]]>([
    ['algorithms that are none', noAlgorithm],
    ['public keys as HMAC secrets', confusion],
    ['other keys', wrongKeys],
    ['keys they bring along', (all) => broughtAlong(all, [...forgers, forgerSecret])],
    ['claims that are missing or odd', badClaims],
    ['headers that are odd', badHeaders],
    ['parts of a good one', altered],
  ])('%s', async (_name, variantsOf) => {
    expect(await believed(variantsOf(place))).toEqual([])
  })

  it('of which these were 300 at least, and no address in them was called', () => {
    expect(variantsSent).toBeGreaterThanOrEqual(300)
    expect(place.trapped).toEqual([])
  })

  it('nor good ones in another place than the header', async () => {
    const token = seal(headerOf(place.signers.hs), place.claims(), place.signers.hs)
    for (const scheme of ['', 'Basic ', 'Token ', 'JWT ', 'Bearer, ', 'Bearer Bearer ']) {
      expect(await statusesOf(`${scheme}${token}`), scheme).toEqual([401, 401])
    }
    const { api } = place.system
    for (const name of ['access_token', 'token', 'authorization']) {
      expect((await api.get(`/jobs/none?${name}=${token}`)).status).toBe(401)
      expect(
        (await api.get('/jobs/none', { headers: { cookie: `${name}=${token}` } })).status,
      ).toBe(401)
      expect((await api.get('/jobs/none', { headers: { [`x-${name}`]: token } })).status).toBe(401)
    }
  })
})
