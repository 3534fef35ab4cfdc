import { deleteAnyApiKey, findApiKeys, type OwnedKey } from '@ticket-line/db'
import { isKeyId, isoOf } from '@ticket-line/shared'
import { type Arguments, readUserId, readWord, UsageError } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report, table } from '../report.js'

const ACTIONS = ['list', 'delete'] as const

export const key: Command = {
  name: 'key',
  summary: 'list API keys with their owners, and delete one',
  usage: `key <action> [options] [--json]

  key list [<user>]    list all API keys, or those of one user
    --limit <n>        at most n keys (default 100)
  key delete <id>      delete a key of any user

The id of a key is the part between "tlk_" and the next "_". The change log names it as the actor
of the changes that the key made. The secret of a key is not stored, so it cannot be shown. Running
processes refuse a deleted key within a second. Needs only DATABASE_URL.

Exit code 1: there is no such key.`,
  options: { limit: { type: 'string' } },
  takesWords: true,
  run: manageKeys,
}

async function manageKeys(context: Context, args: Arguments): Promise<Report> {
  const [word, target] = args.words
  const action = readWord('the action', word, ACTIONS)
  if (args.words.length > 2) throw new UsageError(`"${args.words.at(-1)}" is one word too many`)
  if (action === 'delete') return deleteKey(context, target ?? '')
  return listKeys(context, {
    userId: target === undefined ? undefined : readUserId(target),
    limit: args.number('limit', 100, { min: 1, max: 1_000_000 }),
  })
}

async function listKeys(
  context: Context,
  { userId, limit }: { userId: string | undefined; limit: number },
): Promise<Report> {
  const found = await findApiKeys(context.pool(), { userId, limit: limit + 1 })
  const keys = found.slice(0, limit)
  const more = found.length > limit
  const text = keys.length === 0 ? ['There is no API key.'] : table(keys.map(rowOf))
  if (more) text.push(`There are more than these ${limit}: raise --limit, or name a user.`)
  return { exitCode: EXIT.fine, data: { ok: true, keys: keys.map(dataOf), more }, text }
}

function rowOf(key: OwnedKey): string[] {
  const used = key.lastUsedAtMs === null ? 'never used' : `used ${isoOf(key.lastUsedAtMs)}`
  return [
    key.keyId,
    key.external ? `${key.userId} of another issuer` : key.userId,
    key.name,
    key.scopes.join(','),
    key.eventIds === null ? 'all events' : `events ${key.eventIds.join(',')}`,
    used,
    key.expiresAtMs === null ? '' : `until ${isoOf(key.expiresAtMs)}`,
  ]
}

function dataOf(key: OwnedKey): Record<string, unknown> {
  return {
    id: key.keyId,
    userId: key.userId,
    external: key.external,
    name: key.name,
    scopes: key.scopes,
    eventIds: key.eventIds,
    createdAt: isoOf(key.createdAtMs),
    lastUsedAt: isoOf(key.lastUsedAtMs),
    expiresAt: isoOf(key.expiresAtMs),
  }
}

async function deleteKey(context: Context, id: string): Promise<Report> {
  if (!isKeyId(id)) throw new UsageError('the id of a key has 16 letters and digits')
  if (await deleteAnyApiKey(context.pool(), id))
    return { exitCode: EXIT.fine, data: { ok: true, id }, text: [`The API key ${id} is deleted.`] }
  return {
    exitCode: EXIT.found,
    data: { ok: false, id, error: 'api_key_not_found' },
    text: [`There is no API key ${id}.`],
  }
}
