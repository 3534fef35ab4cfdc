import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type System, startSystem } from '../../stack/system.ts'
import { type Json, jwkOf, type KeyPair, newEc, newEd, newRsa, type Signer } from './keys.ts'

/** An API that accepts every supported kind of key. */
export interface Installation {
  system: System
  /** HS256 with JWT_SECRET, EdDSA with its own key, RS256 and ES256 of another issuer. */
  signers: { hs: Signer; ed: KeyPair; rs: KeyPair; es: KeyPair }
  /** Claims of a valid admin token. */
  claims: () => Json
  /** The server that `jku` and `x5u` of forged tokens point to. It serves the forger's keys. */
  trapUrl: string
  /** Paths that were requested from it. */
  requestedTrapUrls: string[]
  stop(): Promise<void>
}

export const issuer = 'https://issuer.example'
export const audience = 'tickets'

export async function startInstallation(trapKeys: () => Json[]): Promise<Installation> {
  const ed = newEd('own-1')
  const rs = newRsa('rsa-1')
  const es = newEc('ec-1')
  const secret = randomBytes(32).toString('hex')
  const requestedTrapUrls: string[] = []
  const jwks = await serve(() => ({ keys: [jwkOf(rs), jwkOf(es)] }))
  const trap = await serve((url) => {
    requestedTrapUrls.push(url)
    return { keys: trapKeys() }
  })
  const system = await startSystem({
    workers: 0,
    env: {
      JWT_SECRET: secret,
      JWT_PRIVATE_KEYS: JSON.stringify({
        ...(ed.key as KeyPair['publicKey']).export({ format: 'jwk' }),
        kid: 'own-1',
      }),
      JWT_JWKS_URL: `${addressOf(jwks)}/keys`,
      LOCAL_ACCOUNTS: 'true',
      JWT_ISSUER: issuer,
      JWT_AUDIENCE: audience,
    },
  })
  return {
    system,
    signers: { hs: { alg: 'HS256', key: Buffer.from(secret) }, ed, rs, es },
    claims: () => ({
      sub: 'elsewhere',
      role: 'admin',
      iss: issuer,
      aud: audience,
      exp: Math.floor(Date.now() / 1000) + 600,
    }),
    trapUrl: addressOf(trap),
    requestedTrapUrls,
    async stop() {
      await system.stop()
      for (const server of [jwks, trap]) server.close().closeAllConnections()
    },
  }
}

async function serve(answer: (url: string) => Json): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answer(request.url ?? '')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const addressOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`
