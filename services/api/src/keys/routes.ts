import {
  type ApiKey,
  type CommitProgress,
  createApiKey,
  deleteApiKey,
  type KeyOwner,
  listApiKeys,
  type NewApiKey,
  type Pool,
  rotateApiKey,
} from '@ticket-line/db'
import {
  AppError,
  isKeyId,
  KEY_OVERLAP_HOURS,
  MAX_KEYS_PER_USER,
  type Role,
} from '@ticket-line/shared'
import { audit } from '../http/audit.js'
import { invalidRequest, notValid } from '../http/input.js'
import { callPostgres, changePostgres, type PostgresAccess } from '../http/postgres-access.js'
import type { Principal } from '../http/principal.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { hashOfKey, newKey, newKeyId } from './format.js'
import type { KnownKeys } from './known-keys.js'
import {
  API_KEY_NOT_FOUND,
  createdKeySchema,
  keyBodyOf,
  keyListSchema,
  keyParams,
  newKeyBody,
  TOO_MANY_API_KEYS,
} from './schemas.js'

/**
 * API keys in PostgreSQL. If PostgreSQL is unavailable, each call fails within the timeout with
 * AppError `unavailable`, and has no effect.
 */
export interface OwnKeys {
  /** @returns undefined if the owner has as many keys as a user may have */
  create(key: NewApiKey): Promise<ApiKey | undefined>
  list(owner: KeyOwner): Promise<ApiKey[]>
  /** @returns undefined if the owner has no such key */
  rotate(
    owner: KeyOwner & { role: Role },
    keyId: string,
    keyHash: Buffer,
  ): Promise<ApiKey | undefined>
  /** @returns false if the owner has no such key */
  remove(owner: KeyOwner, keyId: string): Promise<boolean>
}

const UNKNOWN_CHANGE =
  'The service lost the connection to its database during this request. Check which API keys you have.'

export function createOwnKeys(pool: Pool, postgres: PostgresAccess): OwnKeys {
  const change = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_CHANGE, run)
  return {
    create: (key) => change((progress) => createApiKey(pool, key, progress)),
    list: (owner) => callPostgres(postgres, () => listApiKeys(pool, owner)),
    rotate: (owner, keyId, keyHash) =>
      change((progress) => rotateApiKey(pool, owner, keyId, keyHash, progress)),
    remove: (owner, keyId) => change((progress) => deleteApiKey(pool, owner, keyId, progress)),
  }
}

export interface KeyDeps {
  ownKeys: OwnKeys
  knownKeys: Pick<KnownKeys, 'forget'>
  /** `KEY_RATE_LIMIT_MAX`. */
  maxKeyRequestsPerMinute: number
}

/** Routes with which organizers and admins manage their API keys. No key may call them. */
export function keyRoutes(deps: KeyDeps): Route[] {
  return [createRoute(deps), listRoute(deps), deleteRoute(deps), rotateRoute(deps)]
}

const shared = { auth: 'required', limit: 'general', role: 'organizer' } as const
const docs = { tag: 'API keys' } as const

function ownerOf({ userId, role, external }: Principal) {
  return { userId, role, external: external === true }
}

function notFound(): AppError {
  return new AppError('api_key_not_found', API_KEY_NOT_FOUND)
}

function createRoute({ ownKeys, maxKeyRequestsPerMinute: maxPerMinute }: KeyDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/api-keys',
    body: newKeyBody(maxPerMinute),
    docs: {
      ...docs,
      operationId: 'createApiKey',
      summary: 'Create an API key',
      description: `The key acts for you, and can do no more than you can at that moment. Send it as \`Authorization: Bearer tlk_…\`. A user may have ${MAX_KEYS_PER_USER} keys.`,
      problems: ['too_many_api_keys', 'unavailable', 'unknown'],
    },
    responses: {
      201: { description: 'The key, which is never shown again.', schema: createdKeySchema },
    },
    async handler(c, { body }, reply) {
      const { expiresAt: expiresAtMs, ...settings } = body
      if (expiresAtMs !== null && expiresAtMs <= Date.now())
        throw invalidRequest(notValid('request body'), [
          { pointer: '/expiresAt', detail: 'must be in the future' },
        ])
      const keyId = newKeyId()
      const key = newKey(keyId)
      const created = await ownKeys.create({
        ...ownerOf(principalOf(c)),
        ...settings,
        expiresAtMs,
        keyId,
        keyHash: hashOfKey(key),
      })
      if (created === undefined) throw new AppError('too_many_api_keys', TOO_MANY_API_KEYS)
      const { name, scopes, eventIds } = settings
      audit(c, 'api_key_created', { keyId, name, scopes, eventIds })
      return reply(c, 201, { ...keyBodyOf(created, maxPerMinute), key })
    },
  })
}

function listRoute({ ownKeys, maxKeyRequestsPerMinute: maxPerMinute }: KeyDeps): Route {
  return defineRoute({
    ...shared,
    method: 'GET',
    path: '/api-keys',
    docs: {
      ...docs,
      operationId: 'listApiKeys',
      summary: 'List my API keys, the oldest first',
      problems: ['unavailable'],
    },
    responses: { 200: { description: 'My keys, without their secrets.', schema: keyListSchema } },
    async handler(c, _input, reply) {
      const keys = await ownKeys.list(ownerOf(principalOf(c)))
      return reply(c, 200, { keys: keys.map((key) => keyBodyOf(key, maxPerMinute)) })
    },
  })
}

function deleteRoute({ ownKeys, knownKeys }: KeyDeps): Route {
  return defineRoute({
    ...shared,
    method: 'DELETE',
    path: '/api-keys/:id',
    params: keyParams,
    docs: {
      ...docs,
      operationId: 'deleteApiKey',
      summary: 'Delete an API key',
      description: 'All processes refuse the key within one second.',
      problems: ['api_key_not_found', 'unavailable', 'unknown'],
    },
    responses: { 204: { description: 'The key was deleted.' } },
    async handler(c, { params: { id } }, reply) {
      if (!isKeyId(id) || !(await ownKeys.remove(ownerOf(principalOf(c)), id))) throw notFound()
      knownKeys.forget(id)
      audit(c, 'api_key_deleted', { keyId: id })
      return reply(c, 204, null)
    },
  })
}

function rotateRoute({
  ownKeys,
  knownKeys,
  maxKeyRequestsPerMinute: maxPerMinute,
}: KeyDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/api-keys/:id/rotate',
    params: keyParams,
    docs: {
      ...docs,
      operationId: 'rotateApiKey',
      summary: 'Replace the secret of an API key',
      description: `The key keeps its id, scopes and limits. The old secret works for another ${KEY_OVERLAP_HOURS} hours. One from an earlier rotation no longer works.`,
      problems: ['api_key_not_found', 'unavailable', 'unknown'],
    },
    responses: {
      200: {
        description: 'The key with its new secret, which is never shown again.',
        schema: createdKeySchema,
      },
    },
    async handler(c, { params: { id } }, reply) {
      if (!isKeyId(id)) throw notFound()
      const key = newKey(id)
      const rotated = await ownKeys.rotate(ownerOf(principalOf(c)), id, hashOfKey(key))
      if (rotated === undefined) throw notFound()
      knownKeys.forget(id)
      audit(c, 'api_key_rotated', { keyId: id })
      return reply(c, 200, { ...keyBodyOf(rotated, maxPerMinute), key })
    },
  })
}
