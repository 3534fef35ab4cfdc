import { z } from 'zod'
import { defineRoute, type Route } from '../http/route.js'
import type { Keyring } from './keyring.js'

const keySetSchema = z
  .object({
    keys: z.array(z.looseObject({ kty: z.string().optional() }).meta({ id: 'PublicKey' })),
  })
  .meta({
    id: 'PublicKeys',
    example: {
      keys: [
        {
          kty: 'OKP',
          crv: 'Ed25519',
          x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
          kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
          alg: 'EdDSA',
          use: 'sig',
        },
      ],
    },
  })

/** `GET /.well-known/jwks.json`, for installations with EdDSA keys of their own. */
export function jwksRoute(keyring: Pick<Keyring, 'own'>): Route {
  return defineRoute({
    method: 'GET',
    path: '/.well-known/jwks.json',
    auth: 'none',
    limit: 'general',
    ignoresQuery: true,
    docs: {
      operationId: 'getPublicKeys',
      tag: 'Accounts',
      summary: 'Get the public keys that verify tokens of this installation',
      description:
        'A JSON Web Key Set (RFC 7517). Only installations with EdDSA keys of their own have it.',
    },
    responses: {
      200: {
        description: 'The public keys. There are two of them during a rotation.',
        schema: keySetSchema,
        headers: ['Cache-Control'],
      },
    },
    handler(c, _input, reply) {
      const keys = keyring.own.map(({ publicJwk }) => publicJwk)
      return reply(c, 200, { keys }, { 'cache-control': 'public, max-age=300' })
    },
  })
}
