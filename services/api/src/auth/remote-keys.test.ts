import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLog } from '@ticket-line/shared'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createRemoteKeys } from './remote-keys.js'
import { createTokenVerifier } from './verify-token.js'

interface IssuerKey {
  jwk: JWK
  sign: (claims?: Record<string, unknown>) => Promise<string>
}

async function newKey(kid: string): Promise<IssuerKey> {
  const { publicKey, privateKey } = (await generateKeyPair('ES256')) as {
    publicKey: CryptoKey
    privateKey: CryptoKey
  }
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
  const sign = (claims = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid })
      .setSubject('ada')
      .setExpirationTime('1h')
      .sign(privateKey)
  return { jwk, sign }
}

describe('keys of another issuer', () => {
  let server: Server
  let keys: JWK[]
  let status: number
  let fetches: number
  let url: URL

  beforeEach(async () => {
    keys = []
    status = 200
    fetches = 0
    server = createServer((_request, response) => {
      fetches++
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ keys }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`)
  })

  afterEach(() => {
    vi.useRealTimers()
    server.close()
  })

  const verifier = () =>
    createTokenVerifier({
      config: {},
      keyring: { own: [] },
      log: createLog('test', 'silent'),
      remoteKeys: createRemoteKeys({ url, onError: () => undefined }),
    })

  test('are fetched once for all who ask together, and then kept', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    const verify = verifier()
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => key.sign({ n })))
    for (const principal of await Promise.all(tokens.map(verify))) {
      expect(principal).toEqual({ userId: 'ada', role: 'user', external: true })
    }
    expect(await verify(await key.sign({ role: 'admin' }))).toEqual({
      userId: 'ada',
      role: 'admin',
      external: true,
    })
    expect(fetches).toBe(1)
  })

  test('a rotation right after a fetch refuses nobody', async () => {
    const [old, fresh] = await Promise.all([newKey('old'), newKey('fresh')])
    keys = [old.jwk]
    const verify = verifier()
    expect(await verify(await old.sign())).toBeDefined()
    keys = [fresh.jwk, old.jwk]
    expect(await verify(await fresh.sign())).toBeDefined()
    expect(fetches).toBe(2)
  })

  test('made-up key ids cost the issuer one fetch a second at most', async () => {
    const [key, stranger] = await Promise.all([newKey('one'), newKey('unknown')])
    keys = [key.jwk]
    const verify = verifier()
    await verify(await key.sign())
    const forged = await Promise.all(Array.from({ length: 50 }, (_, n) => stranger.sign({ n })))
    const answers = await Promise.all(forged.map(verify))
    expect(answers.every((answer) => answer === undefined)).toBe(true)
    expect(fetches).toBe(2)
  })

  test('an issuer that is away is our trouble, not the token', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    status = 500
    const verify = verifier()
    await expect(verify(await key.sign())).rejects.toMatchObject({ code: 'unavailable' })
    // The next one does not wait for the same refusal.
    await expect(verify(await key.sign())).rejects.toMatchObject({ code: 'unavailable' })
    expect(fetches).toBe(1)
  })

  test('keys at hand serve while the issuer is away', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    const verify = verifier()
    await verify(await key.sign())
    server.close()
    server.closeAllConnections()
    vi.useFakeTimers({ toFake: ['performance', 'Date'], now: Date.now() })
    vi.advanceTimersByTime(10 * 60_000)
    expect(await verify(await key.sign())).toBeDefined()
    vi.advanceTimersByTime(60 * 60_000)
    await expect(verify(await key.sign())).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('HS256 is off', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    const secret = new TextEncoder().encode(JSON.stringify(key.jwk).padEnd(32, ' '))
    const token = await new SignJWT({ sub: 'ada', exp: 4_000_000_000 })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(secret)
    expect(await verifier()(token)).toBeUndefined()
  })
})
