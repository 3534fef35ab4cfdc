import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { dataDir, fromRoot } from './paths.mjs'
import { Plain } from './say.mjs'
import { readText } from './server.mjs'

/**
 * The environment with what `.env` adds to it; what is set already wins.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withDotEnv(env) {
  return { ...parseDotEnv(readText(fromRoot('.env'))), ...env }
}

/**
 * `NAME=value` lines; quotes around a value are taken off, what stands behind an unquoted value after " #" is a comment.
 *
 * @param {string} text
 * @returns {Record<string, string>}
 */
export function parseDotEnv(text) {
  /** @type {Record<string, string>} */
  const values = {}
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line)
    if (match === null) continue
    const [, name, raw] = /** @type {[string, string, string]} */ (/** @type {unknown} */ (match))
    const quoted = /^(["'])(.*)\1(?:\s+#.*)?$/.exec(raw)
    values[name] = quoted?.[2] ?? raw.replace(/(?:^|\s+)#.*$/, '')
  }
  return values
}

/**
 * The API's port.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {number} 3000 where `PORT` is not set
 * @throws {Plain} where it is no port
 */
export function readPort(env) {
  const port = Number(env['PORT'] || 3000)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Plain(`PORT must be a number from 1 to 65535, not "${env['PORT']}".`)
}

/**
 * What the services are started with: everything of the environment, and secrets made up where a developer set none. In production
 * nothing is made up: the services then say what is missing.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv & { NODE_ENV: string }}
 */
export function serviceSettings(env) {
  const NODE_ENV = env['NODE_ENV'] || 'development'
  if (NODE_ENV === 'production') return { ...env, NODE_ENV }
  return {
    ...env,
    NODE_ENV,
    JWT_SECRET: env['JWT_SECRET'] || keptSecret('jwt-secret'),
    ADMIN_USER: env['ADMIN_USER'] || 'admin',
    ADMIN_PASSWORD: env['ADMIN_PASSWORD'] || keptSecret('admin-password'),
  }
}

/** A secret made up once and kept in `.data/`, readable for its owner alone. @param {string} name */
export function keptSecret(name) {
  const file = path.join(dataDir, name)
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600 })
  }
  return readText(file).trim()
}
