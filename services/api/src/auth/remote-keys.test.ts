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

describe('remote keys', () => {
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

  test('are fetched once for concurrent tokens, and then cached', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    const verify = verifier()
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => key.sign({ n })))
    for (const principal of await Promise.all(tokens.map(verify))) {
      expect(principal).toEqual({
        userId: 'ada',
        role: 'user',
        external: true,
        expiresAtMs: expect.any(Number),
      })
    }
    expect(await verify(await key.sign({ role: 'admin' }))).toEqual({
      userId: 'ada',
      role: 'admin',
      external: true,
      expiresAtMs: expect.any(Number),
    })
    expect(fetches).toBe(1)
  })

  test('verify a token of a key that the issuer added right after a fetch', async () => {
    const [old, fresh] = await Promise.all([newKey('old'), newKey('fresh')])
    keys = [old.jwk]
    const verify = verifier()
    expect(await verify(await old.sign())).toBeDefined()
    keys = [fresh.jwk, old.jwk]
    expect(await verify(await fresh.sign())).toBeDefined()
    expect(fetches).toBe(2)
  })

  test('are fetched at most once per second for forged key ids', async () => {
    const [key, stranger] = await Promise.all([newKey('one'), newKey('unknown')])
    keys = [key.jwk]
    const verify = verifier()
    await verify(await key.sign())
    const forged = await Promise.all(Array.from({ length: 50 }, (_, n) => stranger.sign({ n })))
    const answers = await Promise.all(forged.map(verify))
    expect(answers.every((answer) => answer === undefined)).toBe(true)
    expect(fetches).toBe(2)
  })

  test('answer unavailable if the issuer cannot be reached', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    status = 500
    const verify = verifier()
    await expect(verify(await key.sign())).rejects.toMatchObject({ code: 'unavailable' })
    // The next call fails at once instead of waiting for the issuer again.
    await expect(verify(await key.sign())).rejects.toMatchObject({ code: 'unavailable' })
    expect(fetches).toBe(1)
  })

  test('verify tokens with cached keys while the issuer is unavailable', async () => {
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

  test('do not verify HS256 tokens', async () => {
    const key = await newKey('one')
    keys = [key.jwk]
    const secret = new TextEncoder().encode(JSON.stringify(key.jwk).padEnd(32, ' '))
    const token = await new SignJWT({ sub: 'ada', exp: 4_000_000_000 })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(secret)
    expect(await verifier()(token)).toBeUndefined()
  })
})
