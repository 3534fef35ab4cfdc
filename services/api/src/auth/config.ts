import { availableParallelism } from 'node:os'
import { ConfigError, type EnvReader, isUserId } from '@ticket-line/shared'
import { isCommonPassword } from '../accounts/common-passwords.js'
import { isPassword } from '../accounts/passwords.js'
import type { CookieSecurityOptions } from '../http/browser.js'
import { guessesLog10 } from './strength.js'

/** Fewest bytes of an HS256 secret (RFC 7518, section 3.2). */
const MIN_SECRET_BYTES = 32
/** Fewest different bytes: a pattern typed by hand has fewer. */
const MIN_SECRET_VARIETY = 8
/**
 * Fewest guesses for a secret, which can be guessed offline, as a power of ten. This is 80 bits.
 */
const MIN_SECRET_GUESSES = 24
/**
 * Fewest guesses for a password, which can only be guessed through the limit of sign-ins, as a
 * power of ten.
 */
const MIN_PASSWORD_GUESSES = 8
/** Secrets that were printed somewhere, and commands that were pasted instead of their output. */
const EXAMPLE_SECRET =
  /change.?(?:me|this|it)|replace.?(?:me|this|with)|example|placeholder|your.?(?:own|very|super|jwt|256|secret)|string.?secret|keyboard.?cat|openssl/i

/** Words that say what a secret is for. No random secret contains them. */
const SELF_NAMED_SECRET =
  /secret|pass.?word|jwt.?key|ticket.?line|should.?be.?(?:changed|replaced)/i

/**
 * Registered claims (RFC 7519, section 4.1), and claims of our own tokens that have another
 * meaning.
 */
const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'gen']

/** Who may make requests, and how they prove who they are. */
export interface IdentityConfig {
  /** HS256 secret; absent where HS256 is off. */
  secret?: Uint8Array
  /** Own EdDSA keys, PEM or JWK, the signing one first; absent where tokens are signed with the secret. */
  privateKeys?: string
  /** Another issuer's keys. */
  jwksUrl?: URL
  /** `iss` and `aud` that tokens must carry and ours do; unchecked where absent. */
  issuer?: string
  audience?: string
  /** Oldest token that is taken, by its `iat`, in seconds; unchecked where absent. */
  maxTokenAgeS?: number
  /** Claim that holds the role, if it is not `role`. */
  roleClaim?: string
  /** Registration, sign-in and roles kept here. */
  localAccounts: boolean
  /** Made at start where it does not exist. */
  firstAdmin?: { userId: string; password: string }
  /** When cookies travel over TLS alone. */
  cookies: CookieSecurityOptions
  /** Password hashes computed at once. Each holds a thread of Node's pool and 19 MiB. */
  hashConcurrency: number
}

/**
 * Reads `JWT_SECRET`, `JWT_PRIVATE_KEYS`, `JWT_JWKS_URL`, `JWT_ISSUER`, `JWT_AUDIENCE`,
 * `JWT_MAX_AGE`, `JWT_ROLE_CLAIM`, `LOCAL_ACCOUNTS`, `ADMIN_USER`, `ADMIN_PASSWORD`,
 * `HASH_CONCURRENCY` and `TRUST_PROXY_HOPS`.
 * @throws ConfigError, one line for the operator
 */
export function readIdentityConfig(env: EnvReader, production: boolean): IdentityConfig {
  const jwksUrl = readJwksUrl(env, production)
  const localAccounts = env.flag('LOCAL_ACCOUNTS', jwksUrl === undefined)
  if (!localAccounts && jwksUrl === undefined) {
    throw new ConfigError('LOCAL_ACCOUNTS=false needs JWT_JWKS_URL, or nobody could sign in')
  }
  const config: IdentityConfig = {
    localAccounts,
    cookies: {
      always: production,
      trustProxy:
        env.integer('TRUST_PROXY_HOPS', 0, { min: 0, max: 10 }) > 0 ||
        env.optional('TRUSTED_PROXIES') !== undefined,
    },
    hashConcurrency: env.integer('HASH_CONCURRENCY', defaultHashConcurrency(), { min: 1, max: 64 }),
  }
  if (jwksUrl !== undefined) config.jwksUrl = jwksUrl
  const issuer = env.optional('JWT_ISSUER')
  if (issuer !== undefined) config.issuer = issuer
  const audience = env.optional('JWT_AUDIENCE')
  if (audience !== undefined) config.audience = audience
  if (production && jwksUrl !== undefined) requireNames(config)
  const roleClaim = env.optional('JWT_ROLE_CLAIM')?.trim()
  if (roleClaim !== undefined && RESERVED_CLAIMS.includes(roleClaim)) {
    throw new ConfigError(
      `JWT_ROLE_CLAIM must not be "${roleClaim}": that claim has another meaning`,
    )
  }
  if (roleClaim !== undefined && roleClaim !== 'role') config.roleClaim = roleClaim
  const maxTokenAgeS = env.integer('JWT_MAX_AGE', 0, { min: 0, max: 31_536_000 })
  if (maxTokenAgeS > 0) config.maxTokenAgeS = maxTokenAgeS
  return localAccounts
    ? { ...config, ...readOwnKeys(env, production), ...readFirstAdmin(env, production) }
    : config
}

/**
 * An issuer signs tokens for many applications. Only these two names show which tokens are meant
 * for us.
 */
function requireNames({ issuer, audience }: Pick<IdentityConfig, 'issuer' | 'audience'>): void {
  const missing = [
    ...(issuer === undefined ? ['JWT_ISSUER'] : []),
    ...(audience === undefined ? ['JWT_AUDIENCE'] : []),
  ]
  if (missing.length === 0) return
  throw new ConfigError(
    `JWT_JWKS_URL needs ${missing.join(' and ')} in production, or tokens for any other application of the issuer would be accepted`,
  )
}

/** Half the cores, so that a flood of sign-ins leaves the other half to bookings; 3 of Node's 4 pool threads at most. */
function defaultHashConcurrency(): number {
  return Math.min(3, Math.max(1, Math.floor(availableParallelism() / 2)))
}

function readJwksUrl(env: EnvReader, production: boolean): URL | undefined {
  const text = env.optional('JWT_JWKS_URL')
  if (text === undefined) return undefined
  const url = URL.parse(text.trim())
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new ConfigError('JWT_JWKS_URL must be an http or https address')
  }
  if (
    production &&
    url.protocol === 'http:' &&
    !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  ) {
    throw new ConfigError(
      'JWT_JWKS_URL must be https in production: who changes the keys on the way can sign tokens',
    )
  }
  return url
}

function readOwnKeys(
  env: EnvReader,
  production: boolean,
): Pick<IdentityConfig, 'secret' | 'privateKeys'> {
  const privateKeys = env.optional('JWT_PRIVATE_KEYS')
  const text = env.optional('JWT_SECRET')
  if (text === undefined) {
    if (privateKeys === undefined) {
      throw new ConfigError(
        `JWT_SECRET is not set: it must be ${MIN_SECRET_BYTES} random bytes or more`,
      )
    }
    return { privateKeys }
  }
  const secret = new TextEncoder().encode(text)
  if (production) {
    refuseWeakSecret(text, secret)
    refuseSharedSecret(env, text)
  }
  return privateKeys === undefined ? { secret } : { secret, privateKeys }
}

function refuseWeakSecret(text: string, secret: Uint8Array): void {
  if (secret.length < MIN_SECRET_BYTES) {
    throw new ConfigError(
      `JWT_SECRET is too short: ${secret.length} bytes, it must be ${MIN_SECRET_BYTES} or more`,
    )
  }
  if (
    EXAMPLE_SECRET.test(text) ||
    SELF_NAMED_SECRET.test(text) ||
    new Set(secret).size < MIN_SECRET_VARIETY
  ) {
    throw new ConfigError('JWT_SECRET looks like an example: set random bytes of your own')
  }
  if (guessesLog10(text) < MIN_SECRET_GUESSES) {
    throw new ConfigError(
      'JWT_SECRET is easy to guess: set random bytes, for example from "openssl rand -base64 48"',
    )
  }
}

/** A password is typed in and a token is sent around, so neither may reveal the secret. */
function refuseSharedSecret(env: EnvReader, secret: string): void {
  for (const name of ['ADMIN_PASSWORD', 'METRICS_TOKEN']) {
    const other = env.optional(name)?.trim().toLowerCase()
    if (other !== undefined && secret.toLowerCase().includes(other)) {
      throw new ConfigError(
        `JWT_SECRET holds ${name}: set random bytes that are used for nothing else`,
      )
    }
  }
}

function readFirstAdmin(env: EnvReader, production: boolean): Pick<IdentityConfig, 'firstAdmin'> {
  const userId = env.optional('ADMIN_USER')
  const password = env.optional('ADMIN_PASSWORD')
  if (userId === undefined && password === undefined) return {}
  if (userId === undefined || password === undefined) {
    throw new ConfigError('ADMIN_USER and ADMIN_PASSWORD must be set together')
  }
  if (!isUserId(userId)) {
    throw new ConfigError('ADMIN_USER must hold 1 to 128 characters and no control characters')
  }
  if (!isPassword(password)) throw new ConfigError('ADMIN_PASSWORD must hold 8 to 128 characters')
  if (production) refuseWeakPassword(userId, password)
  return { firstAdmin: { userId, password } }
}

function refuseWeakPassword(userId: string, password: string): void {
  const plain = password.trim().toLowerCase()
  if (
    isCommonPassword(password) ||
    isCommonPassword(plain) ||
    EXAMPLE_SECRET.test(password) ||
    plain === userId.trim().toLowerCase()
  ) {
    throw new ConfigError('ADMIN_PASSWORD is a default or common password: choose one of your own')
  }
  const hints = [
    userId,
    'ticket',
    'tickets',
    'line',
    'ticket-line',
    'ticketline',
    'admin',
    'administrator',
    'booking',
  ]
  if (guessesLog10(password, hints) < MIN_PASSWORD_GUESSES) {
    throw new ConfigError(
      'ADMIN_PASSWORD is easy to guess: choose a longer one, for example four random words',
    )
  }
}
