import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { dataDir, fromRoot, readText } from './files.mjs'
import { UserError } from './terminal.mjs'

/**
 * Adds the settings in `.env` to the environment. Variables of the environment take precedence.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withDotEnv(env) {
  return { ...parseDotEnv(readText(fromRoot('.env'))), ...env }
}

/**
 * A name with its value. The value is a quoted text, which only a comment may follow, or else the
 * rest of the line.
 */
const assignment =
  /^[ \t]*(?:export[ \t]+)?([\w.-]+)(?:[ \t]*=|:[ \t])[ \t]*(?:(["'`])((?:\\[\s\S]|(?!\2)[^\\])*)\2[ \t]*(?:#.*)?|(.*))$/gm

/**
 * Parses a file of settings like the dotenv package does: `NAME=value` or `export NAME=value`. A
 * quoted value may have several lines, and in double quotes `\n` and `\r` are line breaks. A
 * comment begins with "#" at the start of a line, after a quoted value, or after white space.
 * Unlike dotenv, and like Compose, which reads the same file, it keeps `a#b` whole: a password must
 * not be cut.
 *
 * @param {string} text
 * @returns {Record<string, string>}
 */
export function parseDotEnv(text) {
  /** @type {Record<string, string>} */
  const values = {}
  for (const match of text
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n')
    .matchAll(assignment)) {
    const [, name = '', quote, quoted, plain = ''] = match
    if (quoted === undefined) {
      // The pattern found no quoted text. In 'C:\', for example, it took the last quote for an
      // escaped one. If the value begins and ends with the same quote, both are removed.
      const value = plain.replace(/(?:^|\s+)#.*$/, '').trim()
      values[name] = value.replace(/^(["'`])(.*)\1$/, '$2')
    } else {
      values[name] = quote === '"' ? quoted.replaceAll('\\n', '\n').replaceAll('\\r', '\r') : quoted
    }
  }
  return values
}

/**
 * @typedef {object} ServerUrls
 * @property {string | undefined} databaseUrl undefined if the settings name no PostgreSQL
 * @property {string | undefined} redisUrl undefined if the settings name no Redis, a cluster, or
 * Sentinels
 */

/**
 * Reads the addresses of the servers and checks NODE_ENV. It uses the code of the services, so the
 * packages must be built.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<ServerUrls>}
 * @throws {UserError} naming the variable that cannot be used
 */
export async function readServerUrls(env) {
  const { ConfigError, readEnv, readNodeEnv } = await import(
    '../../packages/shared/dist/runtime/env.js'
  )
  const { readDatabaseUrl } = await import('../../packages/shared/dist/runtime/settings.js')
  const { readRedisSettings } = await import('../../packages/shared/dist/runtime/redis-settings.js')
  const { database, redis } = namedServers(env)
  try {
    const reader = readEnv({ ...env, DATABASE_URL: env['DATABASE_URL'] || env['PG_URL'] })
    readNodeEnv(reader)
    const settings = redis && readRedisSettings(reader)
    return {
      databaseUrl: database && readDatabaseUrl(reader),
      redisUrl: settings && settings.kind === 'single' ? settings.url : undefined,
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new UserError(
      `${database === 'PG_URL' ? error.message.replace('DATABASE_URL', database) : error.message}.`,
    )
  }
}

/**
 * The name of the variable that says where each server is, if any does.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function namedServers(env) {
  return {
    database: ['DATABASE_URL', 'PG_URL', 'DATABASE_HOST'].find((name) => env[name]?.trim()),
    redis: ['REDIS_CLUSTER', 'REDIS_SENTINELS', 'REDIS_URL', 'REDIS_HOST'].find((name) =>
      env[name]?.trim(),
    ),
  }
}

/**
 * The address on which a service listens.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {'HOST' | 'WORKER_HOST' | 'NOTIFIER_HOST'} [name]
 */
export function readHost(env, name = 'HOST') {
  return env[name]?.trim() || '127.0.0.1'
}

/**
 * The API's port.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {number} 3000 if `PORT` is not set
 * @throws {UserError} if it is no port
 */
export function readPort(env) {
  return portIn(env, 'PORT') ?? 3000
}

/**
 * The port of the health checks and metrics of a service.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {'WORKER_PORT' | 'NOTIFIER_PORT'} name
 * @returns {number | undefined} undefined if any free port will do
 * @throws {UserError} if it is no port
 */
export function readHealthPort(env, name) {
  return env[name]?.trim() === '0' ? undefined : portIn(env, name)
}

/** @param {NodeJS.ProcessEnv} env @param {string} name */
function portIn(env, name) {
  const text = env[name]?.trim()
  if (!text) return undefined
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new UserError(`${name} must be a number from 1 to 65535, not "${text}".`)
}

/**
 * The environment of the services: that of this process, plus generated secrets if none are set. In
 * development `POST /initialize` needs no token, unless INITIALIZE_OPEN says otherwise. In
 * production nothing is generated: the services refuse to start and name what is missing.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv & { NODE_ENV: string }}
 */
export function serviceSettings(env) {
  const NODE_ENV = env['NODE_ENV']?.trim() ? env['NODE_ENV'] : 'development'
  if (NODE_ENV === 'production') return { ...env, NODE_ENV }
  return {
    ...env,
    NODE_ENV,
    ...(NODE_ENV === 'development' && {
      INITIALIZE_OPEN: env['INITIALIZE_OPEN']?.trim() || 'true',
    }),
    JWT_SECRET: env['JWT_SECRET'] || keptSecret('jwt-secret'),
    WEBHOOK_SECRET_KEY: env['WEBHOOK_SECRET_KEY'] || keptSecret('webhook-secret-key', 32),
    ADMIN_USER: env['ADMIN_USER'] || 'admin',
    ADMIN_PASSWORD: env['ADMIN_PASSWORD'] || keptSecret('admin-password'),
  }
}

/** True if keptSecret() has generated this secret before. @param {string} name */
export const isKept = (name) => readText(path.join(dataDir, name)).trim() !== ''

/**
 * A secret that is generated once and kept in `.data/`, readable only for its owner. An empty file
 * counts as missing, since a full disk leaves one behind.
 *
 * @param {string} name
 * @param {number} [bytes] how many random bytes it has
 */
export function keptSecret(name, bytes = 24) {
  const file = path.join(dataDir, name)
  if (!isKept(name)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(file, randomBytes(bytes).toString('base64url'), { mode: 0o600 })
  }
  return readText(file).trim()
}
