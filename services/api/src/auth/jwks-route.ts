import { keysDocs } from '../accounts/docs.js'
import { reply } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import type { Keyring } from './keyring.js'

/** `GET /.well-known/jwks.json`, where the installation has EdDSA keys of its own. */
export function keyRoutes({ own }: Pick<Keyring, 'own'>): Route[] {
  if (own.length === 0) return []
  const keys = own.map(({ publicJwk }) => publicJwk)
  return [
    defineRoute({
      method: 'GET',
      path: '/.well-known/jwks.json',
      auth: 'none',
      limit: 'general',
      ignoresQuery: true,
      docs: keysDocs,
      handler: (c) => reply(c, 200, { keys }, { 'cache-control': 'public, max-age=300' }),
    }),
  ]
}
